package secretstream_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairn-feeds/cairn/dht/secretstream"
)

const (
	headerFrame = 3 + 56
	emptyFrame  = 3 + 17
)

// endOf starts one end of a stream with given keys in a synctest bubble and
// returns it and the raw stream's other end, whose header was read.
func endOf(t *testing.T, o secretstream.Options) (*secretstream.Conn, net.Conn) {
	raw, far := net.Pipe()
	o.Keys, _ = keys()
	c := mustNew(t, raw, true, &o)
	if _, err := io.ReadFull(far, make([]byte, headerFrame)); err != nil {
		t.Fatal(err)
	}
	return c, far
}

func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := endOf(t, secretstream.Options{KeepAlive: 5 * time.Second})
		defer c.Destroy()
		start := time.Now()
		at := func(what string, want time.Duration, size int) {
			t.Helper()
			if _, err := io.ReadFull(far, make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(start); got != want {
				t.Errorf("%s after %v, want %v", what, got, want)
			}
		}
		at("first keep-alive", 5*time.Second, emptyFrame)
		at("second keep-alive", 10*time.Second, emptyFrame)
		time.Sleep(3 * time.Second)
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		at("message", 13*time.Second, emptyFrame+5)
		at("keep-alive after the message", 18*time.Second, emptyFrame)

		c.SetKeepAlive(time.Second)
		at("faster keep-alive", 19*time.Second, emptyFrame)
		c.SetKeepAlive(0)
		if err := far.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("something after keep-alives were turned off: %v", err)
		}
	})
}

// TestKeepAliveIsNotQueued: a peer that does not read gets no pile of them.
func TestKeepAliveIsNotQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := endOf(t, secretstream.Options{KeepAlive: time.Second})
		defer c.Destroy()
		time.Sleep(time.Hour)
		if _, err := io.ReadFull(far, make([]byte, emptyFrame)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := io.ReadFull(far, make([]byte, emptyFrame)); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("the second came after %v, want 1s", got)
		}
	})
}

func TestEmptyMessages(t *testing.T) {
	for _, c := range []struct {
		name    string
		o       secretstream.Options
		dropped bool
	}{
		{"delivered", secretstream.Options{}, false},
		{"dropped with a keep-alive", secretstream.Options{KeepAlive: time.Hour}, true},
		{"dropped as asked", secretstream.Options{DropEmpty: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw, far := net.Pipe()
			i, r := keys()
			c.o.Keys = r
			a, b := mustNew(t, raw, true, &secretstream.Options{Keys: i}), mustNew(t, far, false, &c.o)
			for _, m := range []string{"", "x", ""} {
				if err := a.WriteMessage([]byte(m)); err != nil {
					t.Fatal(err)
				}
			}
			m, err := b.ReadMessage()
			if want := map[bool]string{false: "", true: "x"}[c.dropped]; err != nil || string(m) != want {
				t.Errorf("%q, want %q (%v)", m, want, err)
			}
		})
	}
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := endOf(t, secretstream.Options{Timeout: 10 * time.Second})
		defer c.Destroy()
		// While nobody reads, silence says nothing.
		time.Sleep(time.Hour)
		start := time.Now()
		go func() {
			// One byte of a frame is a sign of life.
			time.Sleep(6 * time.Second)
			far.Write([]byte{56})
		}()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, secretstream.ErrTimeout) {
			t.Errorf("Read: %v", err)
		}
		if got, want := time.Since(start), 16*time.Second; got != want {
			t.Errorf("timed out after %v, want %v", got, want)
		}
		var timeout net.Error
		if _, err := c.Write([]byte{1}); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("Write: %v", err)
		}
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the raw stream is open: %v", err)
		}
	})
}

func TestSetTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := endOf(t, secretstream.Options{Timeout: time.Second})
		defer c.Destroy()
		defer far.Close()
		c.SetTimeout(0)
		start := time.Now()
		time.AfterFunc(time.Minute, func() { c.SetTimeout(5 * time.Second) })
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, secretstream.ErrTimeout) {
			t.Errorf("Read: %v", err)
		}
		if got, want := time.Since(start), 65*time.Second; got != want {
			t.Errorf("timed out after %v, want %v", got, want)
		}
	})
}

func TestHandshakeTimeout(t *testing.T) {
	for _, initiator := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			raw, far := net.Pipe()
			defer far.Close()
			start := time.Now()
			c := mustNew(t, raw, initiator, nil)
			defer c.Destroy()
			err := c.Handshake(t.Context())
			if !errors.Is(err, secretstream.ErrHandshake) || !errors.Is(err, secretstream.ErrTimeout) {
				t.Error(err)
			}
			if got := time.Since(start); got != secretstream.DefaultHandshakeTimeout {
				t.Errorf("timed out after %v", got)
			}
		})
	}
}

// TestLinger closes while the peer does not read, and while it does.
func TestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := endOf(t, secretstream.Options{})
		c.Write(bytes.Repeat([]byte{1}, 1000))
		start := time.Now()
		if err := c.Close(); err == nil {
			t.Error("the message was not sent, but Close does not say so")
		}
		if got := time.Since(start); got != secretstream.DefaultLinger {
			t.Errorf("Close took %v", got)
		}
		far.Close()

		c, far = endOf(t, secretstream.Options{Linger: -1})
		c.Write(bytes.Repeat([]byte{1}, 1000))
		start = time.Now()
		c.Close()
		if got := time.Since(start); got != 0 {
			t.Errorf("Close took %v without lingering", got)
		}
		far.Close()

		c, far = endOf(t, secretstream.Options{})
		c.Write(bytes.Repeat([]byte{1}, 1000))
		go func() {
			time.Sleep(time.Second)
			io.Copy(io.Discard, far)
		}()
		start = time.Now()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("Close took %v, the peer read after 1s", got)
		}
		far.Close()
	})
}

// TestDestroyInterruptsClose: whoever has no patience need not have any.
func TestDestroyInterruptsClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := endOf(t, secretstream.Options{})
		defer far.Close()
		c.Write(bytes.Repeat([]byte{1}, 1000))
		start := time.Now()
		time.AfterFunc(time.Second, func() { c.Destroy() })
		if err := c.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Close: %v", err)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("Close took %v", got)
		}
	})
}
