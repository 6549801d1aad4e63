package replicate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/replicate"
	"github.com/cairn-feeds/cairn/replicate/noise"
	"github.com/cairn-feeds/cairn/replicate/wire"
)

// tap keeps the frames that one side of a plain session writes.
type tap struct {
	net.Conn
	mu  sync.Mutex
	out wire.Splitter
}

func (c *tap) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.out.Feed(p)
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// describe says what a message is about as far as it does not depend on chance: the
// order of random downloads, and with it the proofs.
func describe(m wire.Message) string {
	switch m := m.(type) {
	case *wire.Open, *wire.Close:
		return m.Type().String()
	case *wire.Have:
		return fmt.Sprintf("Have %d+%d %x ack=%v", m.Start, m.Length, m.Bitfield, m.Ack)
	case *wire.Request:
		return fmt.Sprintf("Request %d bytes=%d hash=%v", m.Index, m.Bytes, m.Hash)
	case *wire.Data:
		return fmt.Sprintf("Data %d %q", m.Index, m.Value)
	case *wire.Extension:
		return fmt.Sprintf("Extension %d %q", m.ID, m.Payload)
	default:
		return fmt.Sprintf("%v %+v", m.Type(), m)
	}
}

// frames returns what was written. Requests and Data are sorted among themselves.
func (c *tap) frames(t *testing.T) (out []string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	return collect(t, &c.out)
}

func collect(t *testing.T, s *wire.Splitter) (out []string) {
	t.Helper()
	var blocks []string
	for {
		f, ok, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		m, err := wire.Decode(f)
		if err != nil {
			t.Fatal(err)
		}
		text := describe(m)
		if f.Type == wire.TypeRequest || f.Type == wire.TypeData {
			blocks = append(blocks, text)
		} else {
			out = append(out, text)
		}
	}
	slices.Sort(blocks)
	return append(out, blocks...)
}

// TestSessionLogs has two of ours go through recorded sessions of hypercore 9: each
// side has to say the same.
func TestSessionLogs(t *testing.T) {
	var file struct {
		Sessions map[string]struct {
			Title   string
			ALength int
			Log     []struct{ From, Frame string }
		}
	}
	b, err := os.ReadFile("testdata/sessions.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	content := []string{"hello", "world", "!", "abc", "defg"}
	plain := replicate.Options{Mode: noise.Plain}
	live := replicate.Options{Mode: noise.Plain, Live: true}
	acking := replicate.Options{Mode: noise.Plain, Live: true, Ack: true}
	for name, c := range map[string]struct {
		blocks  int // of A when they connect
		a, b    replicate.Options
		add     replicate.AddOptions // of A
		addB    replicate.AddOptions
		sparse  bool
		already []uint64 // blocks that B has
		during  func(a, b *engine.Feed)
		ends    bool
	}{
		"nonLive":       {blocks: 3, a: plain, b: plain, ends: true},
		"emptyNonLive":  {a: plain, b: plain, ends: true},
		"bothComplete":  {blocks: 3, a: plain, b: plain, already: []uint64{0, 1, 2}, ends: true},
		"ack":           {blocks: 2, a: acking, b: live},
		"noUpload":      {blocks: 2, a: live, b: live, add: replicate.AddOptions{NoUpload: true}},
		"noDownload":    {blocks: 2, a: live, b: live, addB: replicate.AddOptions{NoDownload: true}},
		"oneSideLive":   {blocks: 2, a: live, b: plain},
		"otherSideLive": {blocks: 2, a: plain, b: live},
		"sparseNonLive": {blocks: 2, a: plain, b: plain, sparse: true, during: func(_, b *engine.Feed) { b.Get(t.Context(), 0, nil) }},
		"plain":         {blocks: 1, a: plain, b: plain, ends: true},
		"liveAppend": {blocks: 2, a: live, b: live, during: func(a, b *engine.Feed) {
			waitFor(t, "first blocks", func() bool { return b.Downloaded(0, 0) == 2 })
			a.Append(t.Context(), []byte("!"))
			waitFor(t, "one more", func() bool { return b.Downloaded(0, 0) == 3 })
			a.Append(t.Context(), []byte("abc"), []byte("defg"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			log := file.Sessions[name].Log
			var want [2]wire.Splitter
			for _, e := range log {
				var frame []byte
				fmt.Sscanf(e.Frame, "%x", &frame)
				if e.From != "" {
					want[slices.Index([]string{"A", "B"}, e.From)].Feed(frame)
				}
			}
			store := openStoreSynced(t)
			a, err := store.Create(t.Context(), &engine.CreateOptions{Seed: new([32]byte)})
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			var blocks [][]byte
			for _, text := range content[:c.blocks] {
				blocks = append(blocks, []byte(text))
			}
			if _, err := a.Append(t.Context(), blocks...); err != nil {
				t.Fatal(err)
			}
			f := openFeed(t, openStoreSynced(t), a, c.sparse)
			for _, i := range c.already {
				copyBlocks(t, a, f, i, i+1)
			}
			ca, cb := net.Pipe()
			ta, tb := &tap{Conn: ca}, &tap{Conn: cb}
			sa := newHost(t, nil, &c.a).Start(t.Context(), ta, true)
			sb := newHost(t, nil, &c.b).Start(t.Context(), tb, false)
			sa.Add(a, &c.add)
			sb.Add(f, &c.addB)
			if c.during != nil {
				c.during(a, f)
			}
			wantA, wantB := collect(t, &want[0]), collect(t, &want[1])
			if len(wantA) < 2 || len(wantB) < 2 {
				t.Fatalf("no session %q in the log", name)
			}
			if c.ends {
				if err := errors.Join(sa.Wait(), sb.Wait()); err != nil {
					t.Error(err)
				}
			} else {
				time.Sleep(200 * time.Millisecond) // nothing more must come
				sa.Close(io.EOF)
				sa.Wait()
				sb.Wait()
			}
			if got := ta.frames(t); !slices.Equal(got, wantA) {
				t.Errorf("A said\n%q, want\n%q", got, wantA)
			}
			if got := tb.frames(t); !slices.Equal(got, wantB) {
				t.Errorf("B said\n%q, want\n%q", got, wantB)
			}
		})
	}
}
