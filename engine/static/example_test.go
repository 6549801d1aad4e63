package static_test

import (
	"context"
	"fmt"
	"log"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/static"
)

func Example() {
	ctx := context.Background()
	store, err := engine.Open("store", &engine.Options{FS: vfs.NewMem()})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	core, err := static.Open(store)
	if err != nil {
		log.Fatal(err)
	}
	defer core.Close()

	w, err := core.NewWriter(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(w, "hello")
	fmt.Fprint(w, "world")
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("stored as", w.ID())

	for block, err := range core.Read(ctx, w.ID(), nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", block)
	}

	// Output:
	// stored as e1a31bb8716f0a0487377e22dbc7f0491fb47a712ac21519792a4e32cf56fb6f
	// hello
	// world
}
