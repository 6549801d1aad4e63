package noise_test

import (
	"fmt"
	"io"
	"log"
	"net"

	"github.com/cairn-feeds/cairn/replicate/noise"
)

func Example() {
	near, far := net.Pipe()
	feedKey := [32]byte{1}

	go func() {
		defer near.Close()
		h, err := noise.NewHandshake(noise.Config{Initiator: true})
		if err != nil {
			log.Fatal(err)
		}
		t, _, err := h.Run(near)
		if err != nil {
			log.Fatal(err)
		}
		out := t.AppendCapability([]byte("I know it:"), feedKey)
		t.Encrypt(out)
		near.Write(out)
	}()

	h, err := noise.NewHandshake(noise.Config{
		Authenticate: func(remote noise.PublicKey) error { return nil }, // all are welcome
	})
	if err != nil {
		log.Fatal(err)
	}
	t, stream, err := h.Run(far)
	if err != nil {
		log.Fatal(err)
	}
	in, err := io.ReadAll(stream)
	if err != nil {
		log.Fatal(err)
	}
	text, capability := in[:10], in[10:]
	fmt.Printf("%s\n", text)
	fmt.Println(t.VerifyCapability(feedKey, capability))
	fmt.Println(t.VerifyCapability([32]byte{2}, capability))
	// Output:
	// I know it:
	// <nil>
	// noise: invalid remote channel capability
}
