package secretstream_test

import (
	"bytes"
	"errors"
	"io"
	"syscall"
	"testing"

	"github.com/cairn-feeds/cairn/dht/udx"
)

// TestUDXHasItAll: a UDX stream has every method that is optional for a raw stream.
func TestUDXHasItAll(t *testing.T) {
	a, b := pair(t, "udx", "given")
	if a.RemoteAddr().String() != b.LocalAddr().String() {
		t.Errorf("connected to %v, which is at %v", a.RemoteAddr(), b.LocalAddr())
	}

	// Unordered messages, on their own and beside the stream.
	for _, m := range []string{"one", "", "three"} {
		if err := a.Send([]byte(m)); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Receive(soon(t)); err != nil || string(got) != m {
			t.Errorf("%q, want %q (%v)", got, m, err)
		}
	}
	if err := a.Send(make([]byte, 2000)); !errors.Is(err, udx.ErrMessageTooLarge) {
		t.Errorf("a message of 2000 bytes: %v", err)
	}

	// Flush means that the other end has it, even if nobody reads there.
	content := pattern(1_000_000)
	if _, err := a.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := a.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := b.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(a); err != nil || string(got) != "answer" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestUDXDestroy: the other end learns that this was not an orderly end.
func TestUDXDestroy(t *testing.T) {
	a, b := pair(t, "udx", "XX")
	if _, err := a.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ReadMessage(); err != nil {
		t.Fatal(err)
	}
	a.Destroy()
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Read: %v", err)
	}
	if _, err := b.Write([]byte{1}); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Write: %v", err)
	}
	if err := b.Send([]byte{1}); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Send: %v", err)
	}
	if _, err := b.Receive(soon(t)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Receive: %v", err)
	}
}
