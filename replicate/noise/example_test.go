package noise_test

import (
	"fmt"
	"io"
	"log"
	"net"

	"github.com/cairn-feeds/cairn/replicate/noise"
)

// connect holds the handshake over a stream. It returns the transport and the
// bytes of it that came with the handshake.
func connect(stream io.ReadWriter, cfg noise.Config) (*noise.Transport, []byte, error) {
	h, err := noise.NewHandshake(cfg)
	if err != nil {
		return nil, nil, err
	}
	buf := make([]byte, 4096)
	for n := 0; ; {
		out, rest, err := h.Step(buf[:n])
		if err != nil {
			return nil, nil, err
		}
		if len(out) > 0 {
			if _, err := stream.Write(out); err != nil {
				return nil, nil, err
			}
		}
		if t := h.Done(); t != nil {
			return t, rest, nil
		}
		if n, err = stream.Read(buf); err != nil {
			return nil, nil, err
		}
	}
}

func Example() {
	near, far := net.Pipe()
	go func() {
		t, _, err := connect(near, noise.Config{Initiator: true})
		if err != nil {
			log.Fatal(err)
		}
		frame := []byte("a frame")
		t.Encrypt(frame)
		near.Write(append(frame, t.AppendCapability(nil, [32]byte{1})...))
		near.Close()
	}()

	t, rest, err := connect(far, noise.Config{
		Authenticate: func(remote noise.PublicKey) error { return nil },
	})
	if err != nil {
		log.Fatal(err)
	}
	t.Decrypt(rest)
	frame := make([]byte, 7)
	if _, err := io.ReadFull(t.Reader(far), frame); err != nil {
		log.Fatal(err)
	}
	capability, err := io.ReadAll(far)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", frame)
	fmt.Println(t.VerifyCapability([32]byte{1}, capability))
	fmt.Println(t.VerifyCapability([32]byte{2}, capability))
	// Output:
	// a frame
	// <nil>
	// noise: invalid remote channel capability
}
