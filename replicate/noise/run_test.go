package noise_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cairn-feeds/cairn/replicate/noise"
)

// script is a stream whose remote sends what was recorded, whatever it gets.
type script struct {
	io.Reader
	sent bytes.Buffer
}

func (s *script) Write(p []byte) (int, error) { return s.sent.Write(p) }

func TestRun(t *testing.T) {
	for _, mode := range []noise.Mode{noise.Encrypted, noise.NoiseOnly, noise.Plain} {
		near, far := net.Pipe()
		done := make(chan error, 1)
		go func() {
			defer near.Close()
			h, err := noise.NewHandshake(noise.Config{Initiator: true, Mode: mode})
			if err != nil {
				done <- err
				return
			}
			tr, _, err := h.Run(near)
			if err != nil {
				done <- err
				return
			}
			for range 3 {
				b := []byte("some frames ")
				tr.Encrypt(b)
				near.Write(b)
			}
			done <- nil
		}()
		_, in, err := newHandshake(t, noise.Config{Mode: mode}).Run(far)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(in)
		if err != nil || string(got) != strings.Repeat("some frames ", 3) {
			t.Errorf("%v: %q, %v", mode, got, err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// Frames that come in the same read as the last message are read first.
func TestRunKeepsRest(t *testing.T) {
	in := []byte("frames in the first read and ")
	s := &script{Reader: bytes.NewReader(append(in, "in the next"...))}
	_, r, err := newHandshake(t, noise.Config{Mode: noise.Plain}).Run(s)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "frames in the first read and in the next" {
		t.Errorf("%q, %v", got, err)
	}

	// The initiator's last message and its frames, in one piece.
	a := newHandshake(t, noise.Config{Initiator: true})
	b := newHandshake(t, noise.Config{})
	m1, _, err := a.Step(nil)
	if err != nil {
		t.Fatal(err)
	}
	remote := &feeder{pending: m1}
	remote.answer = func(m2 []byte) []byte {
		m3, _, err := a.Step(m2)
		if err != nil {
			t.Fatal(err)
		}
		frames := []byte("frames")
		a.Done().Encrypt(frames)
		return append(m3, frames...)
	}
	_, r, err = b.Run(remote)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "frames" {
		t.Errorf("%q, %v", got, err)
	}
}

// feeder is a stream that answers what is written to it.
type feeder struct {
	pending []byte
	answer  func(in []byte) []byte
}

func (f *feeder) Read(p []byte) (int, error) {
	if len(f.pending) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.pending)
	f.pending = f.pending[n:]
	return n, nil
}

func (f *feeder) Write(p []byte) (int, error) {
	f.pending = append(f.pending, f.answer(p)...)
	return len(p), nil
}

func TestRunErrors(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		remote io.Reader
		want   []error
	}{
		"end":              {strings.NewReader(""), []error{noise.ErrHandshake, io.ErrUnexpectedEOF}},
		"end in message":   {strings.NewReader("\x3aabc"), []error{noise.ErrHandshake, io.ErrUnexpectedEOF}},
		"end with bytes":   {iotest.DataErrReader(strings.NewReader("\x3aabc")), []error{noise.ErrHandshake, io.ErrUnexpectedEOF}},
		"broken":           {iotest.ErrReader(broken), []error{broken}},
		"another protocol": {strings.NewReader("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n" + strings.Repeat("x", 99)), []error{noise.ErrHandshake}},
	} {
		_, _, err := newHandshake(t, noise.Config{}).Run(&script{Reader: c.remote})
		for _, want := range c.want {
			if !errors.Is(err, want) {
				t.Errorf("%s: %v is not %v", name, err, want)
			}
		}
	}
	near, far := net.Pipe()
	far.Close()
	if _, _, err := newHandshake(t, noise.Config{Initiator: true}).Run(near); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("writing to a closed stream: %v", err)
	}
}
