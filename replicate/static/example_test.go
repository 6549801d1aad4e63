package static_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairn-feeds/cairn/engine"
	store "github.com/cairn-feeds/cairn/engine/static"
	"github.com/cairn-feeds/cairn/replicate/static"
)

// openExample returns the static feeds of a new store, and what closes both.
func openExample() (*store.Core, func()) {
	s, err := engine.Open("store", &engine.Options{FS: vfs.NewMem()})
	if err != nil {
		log.Fatal(err)
	}
	core, err := store.Open(s)
	if err != nil {
		log.Fatal(err)
	}
	return core, func() {
		core.Close()
		s.Close()
	}
}

// A feed goes from one store to another.
func Example() {
	ctx := context.Background()
	here, closeHere := openExample()
	defer closeHere()
	there, closeThere := openExample()
	defer closeThere()

	w, err := here.NewWriter(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(w, "hello")
	fmt.Fprint(w, "world")
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}

	server, client := static.NewHost(here, nil), static.NewHost(there, nil)
	defer server.Close()
	defer client.Close()
	a, b := net.Pipe() // or a TCP connection
	go server.Serve(ctx, a)
	go client.Serve(ctx, b)

	for block, err := range there.Read(ctx, w.ID(), nil) { // waits for what is not here yet
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", block)
	}

	// Output:
	// hello
	// world
}
