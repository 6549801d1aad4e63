package engine_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/cairn-feeds/cairn/codec"
	"github.com/cairn-feeds/cairn/engine"
)

func Example() {
	ctx := context.Background()
	dir, _ := os.MkdirTemp("", "cairn-example-*")
	defer os.RemoveAll(dir)

	store, err := engine.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	feed, err := store.Create(ctx, &engine.CreateOptions{Name: "notes"})
	if err != nil {
		log.Fatal(err)
	}
	defer feed.Close()

	notes := engine.As(feed, codec.UTF8)
	if _, err := notes.Append(ctx, "hello", "world"); err != nil {
		log.Fatal(err)
	}
	for note, err := range notes.Values(ctx, nil) {
		fmt.Println(note, err)
	}
	// Output:
	// hello <nil>
	// world <nil>
}
