package secretstream_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"io"
	"log"
	"net"

	"github.com/cairn-feeds/cairn/dht/secretstream"
)

// A server echoes what its clients say, whoever they are; the client wants that
// server and no other.
func Example() {
	serverKey := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	go func() {
		raw, err := listener.Accept()
		if err != nil {
			return
		}
		conn, err := secretstream.New(raw, false, &secretstream.Options{Key: serverKey})
		if err != nil {
			return
		}
		defer conn.Close()
		io.Copy(conn, conn)
	}()

	raw, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	conn, err := secretstream.New(raw, true, &secretstream.Options{
		RemoteKey: serverKey.Public().(ed25519.PublicKey),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "hello")
	conn.CloseWrite()
	answer, err := io.ReadAll(conn)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%x says %s\n", conn.RemotePublicKey()[:4], answer)
	// Output: 8a88e3dd says hello
}
