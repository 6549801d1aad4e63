package replicate_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/replicate"
	"github.com/cairn-feeds/cairn/replicate/noise"
	"github.com/cairn-feeds/cairn/replicate/wire"
	"github.com/cairn-feeds/cairn/tree"
)

// FuzzSession has a session of two feeds, one to read and one to write, take any
// bytes for what a remote says. It must end, and leave the feeds sound.
func FuzzSession(f *testing.F) {
	store := openStoreSynced(f)
	ours, err := store.Create(f.Context(), &engine.CreateOptions{Seed: &[32]byte{1}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { ours.Close() })
	fill(f, ours, 20, 10)
	source := openStoreSynced(f)
	origin, err := source.Create(f.Context(), &engine.CreateOptions{Seed: &[32]byte{2}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { origin.Close() })
	fill(f, origin, 20, 10)
	theirs, err := store.Open(f.Context(), origin.Key(), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { theirs.Close() })

	seed := func(ms ...wire.Message) {
		var b []byte
		for i, feed := range []*engine.Feed{ours, theirs} {
			b = (&wire.Open{DiscoveryKey: feed.DiscoveryKey()}).AppendFrame(b, uint64(i+1))
		}
		for _, m := range ms {
			for c := range uint64(3) {
				b = m.AppendFrame(b, c)
			}
		}
		f.Add(b)
	}
	proof, err := origin.Proof(3, 0, false)
	if err != nil {
		f.Fatal(err)
	}
	block, _, _ := origin.Block(nil, 3)
	have := &wire.Have{Start: 0, Length: 20}
	seed()
	seed(&wire.Want{Length: 1 << 20}, &wire.Request{Index: 3}, &wire.Request{Index: 3, Hash: true}, &wire.Request{Index: 1, Bytes: 55}, &wire.Cancel{Index: 3})
	seed(have, &wire.Data{Index: 3, HasValue: true, Value: block, Proof: proof}, &wire.Unhave{Start: 3, Length: 2})
	seed(&wire.Have{Length: 1 << 20, HasBitfield: true, Bitfield: []byte{2<<2 | 3}}, &wire.Status{}, &wire.Status{Uploading: true, Downloading: true})
	seed(&wire.Options{Extensions: []string{"a", "b"}, Ack: true}, &wire.Extension{ID: 1, Payload: []byte("x")}, have, &wire.Close{})
	seed(&wire.Close{DiscoveryKey: theirs.DiscoveryKey(), HasDiscoveryKey: true}, &wire.Open{DiscoveryKey: tree.DiscoveryKey{9}})

	f.Fuzz(func(t *testing.T, b []byte) {
		host := replicate.NewHost(replicate.StoreOf(store), &replicate.Options{Mode: noise.Plain, Timeout: time.Second})
		defer host.Close()
		near, far := net.Pipe()
		s := host.Start(context.Background(), near, len(b)%2 == 0)
		add(t, s, ours, theirs)
		read := make(chan struct{})
		go func() { defer close(read); _, _ = io.Copy(io.Discard, far) }()
		for len(b) > 0 {
			n := min(len(b), 100)
			if _, err := far.Write(b[:n]); err != nil {
				break
			}
			b = b[n:]
		}
		far.Close()
		s.Wait()
		<-read
		if ours.Length() != 20 || ours.Downloaded(0, 0) != 20 {
			t.Fatalf("our feed has %d of %d blocks", ours.Downloaded(0, 0), ours.Length())
		}
		for i := range theirs.Length() {
			if b, ok, err := theirs.Block(nil, i); err != nil || ok && len(b) != 10 {
				t.Fatalf("block %d: %q, %v", i, b, err)
			}
		}
	})
}
