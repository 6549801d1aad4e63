package engine_test

import (
	"context"
	"fmt"
	"log"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairn-feeds/cairn/codec"
	"github.com/cairn-feeds/cairn/engine"
)

// A feed of values instead of bytes.
func ExampleAs() {
	ctx := context.Background()
	store, err := engine.Open("cairn-store", &engine.Options{FS: vfs.NewMem()})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	feed, err := store.Create(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer feed.Close()

	type entry struct {
		Title string `json:"title"`
	}
	entries := engine.As(feed, codec.JSON[entry]())
	if _, err := entries.Append(ctx, entry{"one"}, entry{"two"}); err != nil {
		log.Fatal(err)
	}
	for e, err := range entries.Values(ctx, nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Title)
	}
	// Output:
	// one
	// two
}
