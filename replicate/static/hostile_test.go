package static_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairn-feeds/cairn/codec/varint"
	store "github.com/cairn-feeds/cairn/engine/static"
	"github.com/cairn-feeds/cairn/replicate/static"
	"github.com/cairn-feeds/cairn/tree"
)

func join(channel uint64, id tree.Hash) static.Message {
	return static.NewMessage(0, channel, id, 0, nil, nil, nil, nil)
}

func leave(channel uint64) static.Message {
	return static.NewMessage(1, channel, tree.Hash{}, 0, nil, nil, nil, nil)
}

func haveBlocks(channel uint64, blocks ...uint64) static.Message {
	return static.NewMessage(2, channel, tree.Hash{}, 0, blocks, nil, nil, nil)
}

func haveBits(channel uint64, bits []byte) static.Message {
	return static.NewMessage(2, channel, tree.Hash{}, 0, nil, bits, nil, nil)
}

func unpause(channel uint64) static.Message {
	return static.NewMessage(4, channel, tree.Hash{}, 0, nil, nil, nil, nil)
}

func request(channel, block uint64) static.Message {
	return static.NewMessage(5, channel, tree.Hash{}, block, nil, nil, nil, nil)
}

func response(channel, block uint64, data []byte, proof []tree.Node) static.Message {
	return static.NewMessage(6, channel, tree.Hash{}, block, nil, nil, data, proof)
}

// face runs a host against a peer that writes some bytes, reads whatever comes, and stays if
// told so. It returns how the host ended that.
func face(t *testing.T, n *node, stay bool, script []byte) error {
	t.Helper()
	us, them := net.Pipe()
	defer them.Close()
	result := make(chan error, 1)
	go func() { result <- n.host.Serve(t.Context(), us) }()
	go io.Copy(io.Discard, them)
	them.Write(script)
	if !stay {
		them.Close()
	}
	return <-result
}

// TestHostile says which rule each violation breaks.
func TestHostile(t *testing.T) {
	id := func(i int) tree.Hash { return tree.Hash{byte(i), byte(i >> 8)} }
	var flood []static.Message
	for i := range 9 {
		flood = append(flood, join(uint64(i), id(i)))
	}
	scattered := make([]uint64, 4000)
	for i := range scattered {
		scattered[i] = rand.Uint64N(static.MaxBlocks)
	}
	opts := &static.Options{MaxChannels: 8, MaxMemory: 64 << 10}
	hello := static.Script()
	raw := func(payload ...byte) []byte {
		return slices.Concat(hello, varint.Append(nil, uint64(len(payload))), payload)
	}
	for name, c := range map[string]struct {
		script []byte
		want   error
	}{
		"another protocol":        {[]byte("\x0a\x0a\x04http\x1a\x02ab"), static.ErrProtocol},
		"no handshake":            {[]byte("\x04GET "), static.ErrMessage},
		"a handshake too large":   {[]byte("\xff\xff\x7f"), static.ErrFrame},
		"a frame too large":       {slices.Concat(hello, []byte{0x81, 0x80, 0xc0, 0x02}), static.ErrFrame},
		"an endless length":       {slices.Concat(hello, bytes.Repeat([]byte{0xff}, 9)), static.ErrFrame},
		"an incomplete frame":     {slices.Concat(hello, []byte{9, 1}), io.ErrUnexpectedEOF},
		"an incomplete handshake": {hello[:20], io.ErrUnexpectedEOF},
		"Join without id":         {raw(0, 8, 0), static.ErrMessage},
		"Join with a short id":    {raw(0, 8, 0, 18, 2, 1, 1), static.ErrMessage},
		"Have without channel":    {raw(2), static.ErrMessage},
		"Response without data":   {raw(6, 8, 0, 16, 0), static.ErrMessage},
		"Response of garbage":     {raw(6, 255, 255), static.ErrMessage},
		"Cancel of garbage":       {raw(7, 255, 255), static.ErrMessage},
		"a number left out":       {static.Script(join(1, id(1))), static.ErrChannel},
		"a huge number":           {static.Script(join(1<<63, id(1))), static.ErrChannel},
		"a number used twice":     {static.Script(join(0, id(1)), join(0, id(2))), static.ErrChannelReused},
		"a feed joined twice":     {static.Script(join(0, id(1)), join(1, id(1))), static.ErrChannelReused},
		"Have before Join":        {static.Script(haveBlocks(0, 1)), static.ErrChannel},
		"Request before Join":     {static.Script(request(0, 1)), static.ErrChannel},
		"Leave before Join":       {static.Script(leave(3)), static.ErrChannel},
		"too many channels":       {static.Script(flood...), static.ErrTooManyChannels},
		"too much to remember":    {static.Script(join(0, id(1)), haveBlocks(0, scattered...)), static.ErrMemory},
		// What is allowed.
		"nothing":             {nil, nil},
		"a handshake":         {hello, nil},
		"unknown types":       {slices.Concat(raw(8, 1), []byte{2, 63, 1, 2, 64, 1, 2, 127, 1, 2, 128, 1, 2, 255, 1, 0, 0}), nil},
		"after Leave":         {static.Script(join(0, id(1)), leave(0), haveBlocks(0, 1), request(0, 1), leave(0), join(0, id(1)), haveBlocks(0, 1)), nil},
		"a Have too far":      {static.Script(join(0, id(1)), haveBlocks(0, 1<<63, static.MaxBlocks)), nil},
		"an unknown Request":  {static.Script(join(0, id(1)), request(0, 1<<63)), nil},
		"an unknown Response": {static.Script(join(0, id(1)), response(0, 1<<63, []byte("?"), nil)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, opts)
			if err := face(t, n, false, c.script); !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("ended by %v, want %v", err, c.want)
			}
			if n.host.Streams() != 0 {
				t.Error("the stream is still there")
			}
		})
	}
}

// TestCorrupted sends blocks and proofs that are not of the feed: nothing is stored and the
// peer is dropped, whether anybody asked for them or not.
func TestCorrupted(t *testing.T) {
	source := newNode(t, nil)
	from := source.add(t, someBlocks(11)...)
	id := idOf(t, from)
	block := func(n uint64) ([]byte, []tree.Node) {
		data, err := from.AppendBlock(nil, n)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := from.AppendProof(nil, n)
		if err != nil {
			t.Fatal(err)
		}
		return data, proof
	}
	for name, change := range map[string]func(data []byte, proof []tree.Node) static.Message{
		"the block":       func(d []byte, p []tree.Node) static.Message { return response(0, 4, append(d, '!'), p) },
		"another block":   func(d []byte, p []tree.Node) static.Message { return response(0, 5, d, p) },
		"a block too far": func(d []byte, p []tree.Node) static.Message { return response(0, 11, d, p) },
		"no proof":        func(d []byte, p []tree.Node) static.Message { return response(0, 4, d, nil) },
		"a short proof":   func(d []byte, p []tree.Node) static.Message { return response(0, 4, d, p[1:]) },
		"without roots":   func(d []byte, p []tree.Node) static.Message { return response(0, 4, d, p[:len(p)-1]) },
		"a hash of it":    func(d []byte, p []tree.Node) static.Message { p[1].Hash[0] ^= 1; return response(0, 4, d, p) },
		"a root of it":    func(d []byte, p []tree.Node) static.Message { p[len(p)-1].Hash[0] ^= 1; return response(0, 4, d, p) },
		"another length":  func(d []byte, p []tree.Node) static.Message { p[len(p)-1].Index = 22; return response(0, 4, d, p) },
		"a length too far": func(d []byte, p []tree.Node) static.Message {
			p[len(p)-1].Index = 1<<62 - 1
			return response(0, 4, d, p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, nil)
			f := n.get(t, id)
			data, proof := block(4)
			err := face(t, n, true, static.Script(join(0, id), haveBits(0, []byte{0xff, 0xe0}), unpause(0), change(data, proof)))
			e, ok := errors.AsType[*tree.ProofError](err)
			if !errors.Is(err, static.ErrBlock) || !errors.Is(err, store.ErrProof) || !ok {
				t.Errorf("ended by %v", err)
			} else if e.Block != 4 && name != "another block" && name != "a block too far" {
				t.Errorf("blames block %d", e.Block)
			}
			if here, _ := f.Downloaded(); here != 0 || f.Blocks() != 0 {
				t.Errorf("%d of %d blocks were stored", here, f.Blocks())
			}
			// Another peer brings what this one did not.
			connect(t, source, n)
			waitFor(t, f, f.Complete)
		})
	}
	// What comes before a corrupted block is kept.
	n := newNode(t, nil)
	f := n.get(t, id)
	d3, p3 := block(3)
	d4, p4 := block(4)
	err := face(t, n, true, static.Script(join(0, id), haveBits(0, []byte{0xff}), response(0, 3, d3, p3), response(0, 4, append(d4, 0), p4)))
	if !errors.Is(err, static.ErrBlock) || !f.Has(3) || f.Has(4) {
		t.Errorf("%v, has 3: %v, has 4: %v", err, f.Has(3), f.Has(4))
	}
}

// TestUnsolicited sends blocks of a feed that is here in part and of no interest.
func TestUnsolicited(t *testing.T) {
	from := newNode(t, nil).add(t, someBlocks(4)...)
	id := idOf(t, from)
	n := newNode(t, nil)
	f := n.get(t, id)
	var script []static.Message
	for i := range uint64(4) {
		data, _ := from.AppendBlock(nil, i)
		proof, _ := from.AppendProof(nil, i)
		if i == 0 {
			if err := f.Put(t.Context(), 0, data, proof); err != nil {
				t.Fatal(err)
			}
			f.Close()
			script = append(script, join(0, id))
		}
		script = append(script, response(0, i, data, proof))
	}
	if err := face(t, n, false, static.Script(script...)); err != nil {
		t.Error(err)
	}
	if i, err := n.core.Info(id); err != nil || i.Downloaded != 1 {
		t.Errorf("%d blocks are here, %v", i.Downloaded, err)
	}
}

// TestRequestFlood asks for more than is kept, and for what is not there.
func TestRequestFlood(t *testing.T) {
	n := newNode(t, &static.Options{MaxQueued: 100, Silence: -1})
	id := idOf(t, n.add(t, someBlocks(1000)...))
	us, them := net.Pipe()
	result := make(chan error, 1)
	go func() { result <- n.host.Serve(t.Context(), us) }()
	seen := make([]byte, 65536)
	if _, err := them.Write(static.Script(join(0, id))); err != nil {
		t.Fatal(err)
	}
	for opened := 0; opened < 3; { // their Handshake, Join, Have and Unpause
		k, err := them.Read(seen)
		if err != nil {
			t.Fatal(err)
		}
		opened += bytes.Count(seen[:k], []byte{3, 4, 8, 0}) * 3
	}
	var flood []static.Message
	for i := range uint64(1000) {
		flood = append(flood, request(0, i))
	}
	them.Write(static.Script(flood...)[len(static.Script()):]) // and reads no answer
	if err := <-result; !errors.Is(err, static.ErrTooManyRequests) {
		t.Errorf("ended by %v", err)
	}
	them.Close()
}

// TestTimeouts ends connections that stand still.
func TestTimeouts(t *testing.T) {
	source := func(t *testing.T) tree.Hash { return idOf(t, newNode(t, nil).add(t, someBlocks(9)...)) }
	for name, c := range map[string]struct {
		script func(tree.Hash) []byte
		deaf   bool
		opts   static.Options
		want   string
		after  time.Duration
	}{
		"no handshake":    {func(tree.Hash) []byte { return nil }, false, static.Options{}, "the handshake", 20 * time.Second},
		"half a frame":    {func(tree.Hash) []byte { return append(static.Script(), 9, 1) }, false, static.Options{}, "the rest of a frame", 20 * time.Second},
		"does not read":   {func(tree.Hash) []byte { return nil }, true, static.Options{}, "", 20 * time.Second},
		"does not answer": {func(id tree.Hash) []byte { return static.Script(join(0, id), haveBits(0, []byte{0xff}), unpause(0)) }, false, static.Options{}, "an answer", 2 * time.Minute},
		"idle":            {func(tree.Hash) []byte { return static.Script() }, false, static.Options{IdleTimeout: time.Minute}, "anything", time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, &c.opts)
				id := source(t)
				f := n.get(t, id)
				defer f.Close()
				us, them := net.Pipe()
				defer them.Close()
				result := make(chan error, 1)
				start := time.Now()
				go func() { result <- n.host.Serve(t.Context(), us) }()
				if !c.deaf {
					go io.Copy(io.Discard, them)
				}
				them.Write(c.script(id))
				err := <-result
				e, ok := errors.AsType[*static.TimeoutError](err)
				if !ok || !errors.Is(err, static.ErrTimeout) || !e.Timeout() || c.want != "" && e.Waiting != c.want {
					t.Errorf("ended by %v", err)
				}
				if took := time.Since(start); took < c.after || took > c.after+2*time.Second {
					t.Errorf("after %v, want %v", took, c.after)
				}
			})
		})
	}
}

// TestSlow reads a large block so slowly that it takes minutes: that is no timeout.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		id := idOf(t, n.add(t, make([]byte, 4<<20)))
		us, them := net.Pipe()
		result := make(chan error, 1)
		go func() { result <- n.host.Serve(t.Context(), us) }()
		ask := make(chan struct{})
		go func() {
			them.Write(static.Script(join(0, id), unpause(0)))
			<-ask
			them.Write(static.Script(request(0, 0))[len(static.Script()):])
		}()
		buf := make([]byte, 64<<10)
		asked, got := false, 0
		start := time.Now()
		for got < 4<<20 {
			k, err := them.Read(buf)
			if err != nil {
				t.Fatalf("after %d bytes and %v: %v, %v", got, time.Since(start), err, <-result)
			}
			if got += k; !asked && bytes.Contains(buf[:k], []byte{3, 4, 8, 0}) {
				asked = true
				close(ask)
			}
			if asked {
				time.Sleep(8 * time.Second)
			}
		}
		if took := time.Since(start); took < 5*time.Minute {
			t.Errorf("it took %v", took)
		}
		them.Close()
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

// TestHandshakes ends the oldest of too many connections that say nothing.
func TestHandshakes(t *testing.T) {
	n := newNode(t, &static.Options{MaxHandshakes: 2})
	var results []chan error
	for range 3 {
		us, them := net.Pipe()
		defer them.Close()
		go io.Copy(io.Discard, them)
		s := n.host.Stream(us)
		result := make(chan error, 1)
		go func() { result <- s.Run(t.Context()) }()
		for n.host.Streams() <= len(results) && len(results) < 2 {
			time.Sleep(time.Millisecond)
		}
		results = append(results, result)
	}
	if err := <-results[0]; !errors.Is(err, static.ErrHandshakes) {
		t.Errorf("the oldest ended by %v", err)
	}
	n.host.Close()
	for _, r := range results[1:] {
		if err := <-r; !errors.Is(err, static.ErrClosed) {
			t.Errorf("ended by %v", err)
		}
	}
	us, them := net.Pipe()
	defer them.Close()
	if err := n.host.Serve(t.Context(), us); !errors.Is(err, static.ErrClosed) {
		t.Errorf("a stream of a closed host: %v", err)
	}
}

// FuzzPeer lets a peer write anything to a host that has one feed and wants another: it ends,
// and stores nothing that is not of the feed.
func FuzzPeer(f *testing.F) {
	v := loadVectors(f)
	for _, s := range v.Sessions {
		for _, sent := range [][]recorded{s.Sent.A, s.Sent.B} {
			var stream []byte
			for _, m := range sent {
				stream = append(stream, m.Frame...)
			}
			f.Add(stream)
		}
	}
	session := v.Sessions["five"]
	f.Fuzz(func(t *testing.T, stream []byte) {
		n := newNode(t, &static.Options{MaxMemory: 1 << 20, MaxChannels: 100, MaxQueued: 100})
		has := n.add(t, []byte("hello"), []byte("world"))
		wants := n.get(t, session.ID)
		us, them := net.Pipe()
		result := make(chan error, 1)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() { result <- n.host.Serve(ctx, us) }()
		go io.Copy(io.Discard, them)
		them.Write(stream)
		them.Close()
		<-result
		for i := range uint64(8) {
			if wants.Has(i) {
				if b, err := wants.AppendBlock(nil, i); err != nil || !bytes.Equal(b, session.Blocks[i]) {
					t.Fatalf("block %d is %q, %v", i, b, err)
				}
			}
		}
		if !has.Complete() {
			t.Fatal("the other feed has changed")
		}
	})
}
