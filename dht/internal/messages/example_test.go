package messages_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"log"

	"github.com/cairn-feeds/cairn/dht/internal/messages"
)

// What a node is asked to store, and how it checks that.
func ExampleMutablePut() {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	put := messages.MutablePut{
		PublicKey:    [32]byte(key[32:]),
		MutableValue: messages.MutableValue{Seq: 4, Value: []byte("hello")},
	}
	put.Sign(key)
	request := put.Append(nil)

	received, err := messages.ParseMutablePut(request)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d %s %v\n", received.Seq, received.Value, received.Verify(&received.PublicKey))
	// Output: 4 hello true
}
