package noise_test

import (
	"fmt"
	"log"

	"github.com/cairn-feeds/cairn/dht/internal/noise"
)

// A client that knows the server's key greets it. The server looks at who that is
// before it answers.
func Example() {
	client, err := noise.New(noise.Config{Pattern: noise.IK, Initiator: true, Key: key(1), RemoteKey: public(2)})
	if err != nil {
		log.Fatal(err)
	}
	server, err := noise.New(noise.Config{Pattern: noise.IK, Key: key(2)})
	if err != nil {
		log.Fatal(err)
	}
	request, err := client.Send(nil, []byte("let me in"))
	if err != nil {
		log.Fatal(err)
	}
	payload, err := server.Recv(nil, request)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%x says: %s\n", server.RemotePublicKey()[:4], payload)
	reply, err := server.Send(nil, []byte("welcome"))
	if err != nil {
		log.Fatal(err)
	}
	payload, err = client.Recv(nil, reply)
	if err != nil {
		log.Fatal(err)
	}
	a, _ := client.Result()
	b, _ := server.Result()
	fmt.Printf("%s, %v\n", payload, a.TX == b.RX && a.RX == b.TX && a.Hash == b.Hash)
	// Output:
	// 8a88e3dd says: let me in
	// welcome, true
}
