package replicate_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/replicate"
	"github.com/cairn-feeds/cairn/replicate/noise"
	"github.com/cairn-feeds/cairn/replicate/wire"
	"github.com/cairn-feeds/cairn/tree"
)

// villain is the initiator of a session with a host and sends what it likes.
type villain struct {
	t         *testing.T
	conn      net.Conn
	writing   sync.Mutex
	transport *noise.Transport
	reader    *wire.Reader
	session   *replicate.Session
	feed      *engine.Feed // a true copy of what the session is about
}

// newVillain connects to a host. f is the host's handle of the feed, put on the
// session, and full the villain's own copy.
func newVillain(t *testing.T, h *replicate.Host, f, full *engine.Feed) *villain {
	t.Helper()
	ours, conn := net.Pipe()
	v := &villain{t: t, conn: conn, feed: full}
	v.session = h.Start(context.Background(), ours, false)
	if f != nil {
		add(t, v.session, f)
	}
	hs, err := noise.NewHandshake(noise.Config{Initiator: true})
	if err != nil {
		t.Fatal(err)
	}
	tr, r, err := hs.Run(conn)
	if err != nil {
		t.Fatal(err)
	}
	v.transport, v.reader = tr, wire.NewReader(r)
	t.Cleanup(func() { conn.Close() })
	return v
}

// raw sends bytes; the host may well hang up meanwhile.
func (v *villain) raw(b []byte) error {
	v.writing.Lock()
	defer v.writing.Unlock()
	v.transport.Encrypt(b)
	_, err := v.conn.Write(b)
	return err
}

func (v *villain) send(channel uint64, ms ...wire.Message) error {
	var b []byte
	for _, m := range ms {
		b = m.AppendFrame(b, channel)
	}
	return v.raw(b)
}

func (v *villain) open() {
	m := &wire.Open{DiscoveryKey: v.feed.DiscoveryKey(), Capability: v.transport.AppendCapability(nil, [32]byte(v.feed.Key()))}
	if err := v.send(1, m); err != nil {
		v.t.Fatal(err)
	}
}

// drain reads all that comes.
func (v *villain) drain() {
	go func() { _, _ = io.Copy(io.Discard, v.conn) }()
}

// until reads up to the first message of a type.
func (v *villain) until(want wire.Type) wire.Message {
	v.t.Helper()
	for {
		f, err := v.reader.Next()
		if err != nil {
			v.t.Fatalf("waiting for %v: %v", want, err)
		}
		if f.Type == want {
			m, err := wire.Decode(f)
			if err != nil {
				v.t.Fatal(err)
			}
			return m
		}
	}
}

// truth makes the right answer to a request.
func (v *villain) truth(r *wire.Request) *wire.Data {
	v.t.Helper()
	proof, err := v.feed.Proof(r.Index, r.Nodes, r.Hash)
	if err != nil {
		v.t.Fatal(err)
	}
	d := &wire.Data{Index: r.Index, HasValue: !r.Hash, Proof: proof}
	if !r.Hash {
		d.Value, _, _ = v.feed.Block(nil, r.Index)
	}
	return d
}

func number(n uint64) []byte { return protowire.AppendVarint(nil, n) }

// frame is a frame with any body.
func frame(channel uint64, typ wire.Type, body []byte) []byte {
	head := number(channel<<4 | uint64(typ))
	b := number(uint64(len(head) + len(body)))
	return append(append(b, head...), body...)
}

// hostility is a behavior and the error that the session has to end with; nil when
// it has to stand it.
type hostility struct {
	name string
	want error
	do   func(v *villain)
}

// readers are hostile to somebody who downloads from them; the feed has 40 blocks.
var readers = []hostility{
	{"bad signature", tree.ErrSignature, lie(func(v *villain, d *wire.Data) { d.Proof.Signature[5] ^= 1 })},
	{"signature for a shorter tree", tree.ErrSignature, lie(func(v *villain, d *wire.Data) {
		_, sig, err := v.feed.Signature(9) // from before the last append
		if err != nil {
			v.t.Error(err)
		}
		d.Proof.Signature = sig
	})},
	{"wrong content", tree.ErrSignature, lie(func(v *villain, d *wire.Data) { d.Value = []byte("lie") })},
	{"wrong hash", tree.ErrSignature, lie(func(v *villain, d *wire.Data) { d.Proof.Nodes[1].Hash[0] ^= 1 })},
	{"wrong size", tree.ErrSignature, lie(func(v *villain, d *wire.Data) { d.Proof.Nodes[1].Size += 1 << 40 })},
	{"wrong node", tree.ErrMalformed, lie(func(v *villain, d *wire.Data) { d.Proof.Nodes[1].Index += 200 })},
	{"sizes that overflow", tree.ErrSize, lie(func(v *villain, d *wire.Data) {
		for i := range d.Proof.Nodes {
			d.Proof.Nodes[i].Size = wire.MaxNumber
		}
	})},
	{"no signature ever", tree.ErrChecksum, lie(func(v *villain, d *wire.Data) { d.Proof.HasSignature = false })},
	{"node flood", wire.ErrTooMany, func(v *villain) {
		v.have(1)
		d := v.truth(v.until(wire.TypeRequest).(*wire.Request))
		for len(d.Proof.Nodes) <= wire.MaxNodes {
			d.Proof.Nodes = append(d.Proof.Nodes, d.Proof.Nodes[0])
		}
		v.send(1, d)
	}},
	{"block 2^53", wire.ErrNumber, func(v *villain) {
		v.raw(frame(1, wire.TypeHave, append([]byte{0x08}, number(1<<53)...)))
	}},
	{"length 2^53", replicate.ErrProtocol, func(v *villain) { v.send(1, &wire.Have{Start: 1<<53 - 1, Length: 1<<53 - 1}) }},
	{"run length bomb", bitmap.ErrTooLarge, func(v *villain) {
		v.send(1, &wire.Have{Length: 1 << 20, HasBitfield: true, Bitfield: number(1<<50<<2 | 3)})
	}},
	{"run length nonsense", bitmap.ErrInvalidRLE, func(v *villain) {
		v.send(1, &wire.Have{Length: 1 << 20, HasBitfield: true, Bitfield: number(200)})
	}},
	{"scattered bitfields", replicate.ErrFlood, func(v *villain) {
		noise := make([]byte, 1<<17)
		rand.Read(noise)
		field := append(number(uint64(len(noise))<<1), noise...)
		for i := uint64(0); v.send(1, &wire.Have{Start: i << 20, Length: 1 << 20, HasBitfield: true, Bitfield: field}) == nil; i++ {
		}
	}},
	{"unaligned bitfield", replicate.ErrProtocol, func(v *villain) {
		v.send(1, &wire.Have{Start: 5, Length: 1 << 20, HasBitfield: true})
	}},
	{"answers that nobody asked for", replicate.ErrRequestTimeout, func(v *villain) {
		v.have(1)
		d := v.truth(v.until(wire.TypeRequest).(*wire.Request))
		v.drain()
		d.Index += 7
		for v.send(1, d) == nil {
			time.Sleep(time.Second)
		}
	}},
	{"promises", replicate.ErrRequestTimeout, func(v *villain) {
		v.drain()
		v.have(1)
		v.have(40)
		for v.raw([]byte{0}) == nil {
			time.Sleep(time.Second)
		}
	}},
	{"overlapping haves", nil, func(v *villain) {
		go func() {
			for i := range uint64(3000) {
				v.send(1, &wire.Have{Start: i % 37, Length: 40 - i%37})
			}
		}()
		v.serve()
	}},
	{"a fork", tree.ErrFork, func(v *villain) {
		// Another history, signed with the same key.
		key := tree.KeyPairFromSeed(forkSeed)
		b, _ := tree.NewBuilder(0, nil)
		var blocks [][]byte
		for range 50 {
			blocks = append(blocks, []byte("other"))
		}
		nodes := tree.NodeMap{}
		nodes.Add(b.Append(nil, blocks)...)
		sig, err := (*tree.Crypto)(nil).SignRoots(b.Roots(), 50, key.Secret)
		if err != nil {
			v.t.Error(err)
		}
		v.have(1)
		v.send(1, v.truth(v.until(wire.TypeRequest).(*wire.Request)))
		waitFor(v.t, "first block", func() bool { return v.session.Stats().DownloadedBlocks == 1 })
		v.send(1, &wire.Have{Start: 49, Length: 1})
		v.until(wire.TypeRequest)
		p, err := tree.Prove(nodes, func(uint64) (tree.Signature, error) { return sig, nil }, 49, 0, false)
		if err != nil {
			v.t.Error(err)
		}
		v.send(1, &wire.Data{Index: 49, HasValue: true, Value: []byte("other"), Proof: p})
	}},
}

var forkSeed = [32]byte{1, 2, 3}

// lie answers every request after spoiling the answer.
func lie(spoil func(*villain, *wire.Data)) func(*villain) {
	return func(v *villain) {
		v.have(40)
		for {
			f, err := v.reader.Next()
			if err != nil {
				return
			}
			if f.Type != wire.TypeRequest {
				continue
			}
			m, _ := wire.Decode(f)
			d := v.truth(m.(*wire.Request))
			spoil(v, d)
			if v.send(1, d) != nil {
				return
			}
		}
	}
}

// have announces the first n blocks, bit by bit.
func (v *villain) have(n uint64) { v.send(1, &wire.Have{Start: 0, Length: n}) }

// serve answers as it should.
func (v *villain) serve() {
	for {
		f, err := v.reader.Next()
		if err != nil {
			return
		}
		switch m, _ := wire.Decode(f); m := m.(type) {
		case *wire.Request:
			v.send(1, v.truth(m))
		case *wire.Want:
			v.send(1, &wire.Have{Start: m.Start, Length: m.Length, HasBitfield: true, Bitfield: []byte{5<<2 | 3}})
		case *wire.Status:
			if !m.Downloading {
				v.send(1, &wire.Status{}, &wire.Close{})
			}
		}
	}
}

// uploaders are hostile to somebody they download from, or to anybody.
var uploaders = []hostility{
	{"endless wants", replicate.ErrFlood, func(v *villain) {
		v.drain()
		for v.send(1, &wire.Want{Length: 1 << 20}) == nil {
		}
	}},
	{"request flood", replicate.ErrFlood, func(v *villain) {
		for v.send(1, &wire.Request{Index: 3}) == nil {
		}
	}},
	{"cancel storm", nil, func(v *villain) {
		v.drain()
		for range 100_000 {
			v.send(1, &wire.Cancel{Index: 3})
		}
		v.send(1, &wire.Close{})
		v.conn.Close()
	}},
	{"never reads", replicate.ErrStalled, func(v *villain) {
		v.send(1, &wire.Want{Length: 1 << 20}, &wire.Request{Index: 3})
		for v.raw([]byte{0}) == nil {
			time.Sleep(time.Second)
		}
	}},
	{"silence", replicate.ErrTimeout, func(v *villain) { v.drain() }},
	{"hangs up", replicate.ErrEnded, func(v *villain) { v.drain(); v.conn.Close() }},
	{"hangs up in a frame", io.ErrUnexpectedEOF, func(v *villain) {
		v.drain()
		v.raw([]byte{20, 1<<4 | 7, 8})
		v.conn.Close()
	}},
	{"large frame", wire.ErrFrameSize, func(v *villain) { v.drain(); v.raw(append(number(9<<20), 1<<4|9)) }},
	{"not protobuf", wire.ErrMalformed, func(v *villain) { v.drain(); v.raw(frame(1, wire.TypeRequest, []byte{0x0a, 1})) }},
	{"unknown types", nil, func(v *villain) {
		v.drain()
		for typ := wire.Type(11); typ < 15; typ++ {
			v.raw(frame(1, typ, []byte("whatever")))
			v.raw(frame(77, typ, nil))
		}
		v.raw(frame(0, wire.TypeRequest, []byte{8, 1}))
		v.raw(frame(99, wire.TypeData, []byte{8, 1}))
		v.send(1, &wire.Close{})
		v.conn.Close()
	}},
	{"channel exhaustion", replicate.ErrFlood, func(v *villain) {
		v.drain()
		for i := uint64(2); v.send(i, &wire.Open{DiscoveryKey: tree.DiscoveryKey{byte(i), byte(i >> 8), byte(i >> 16)}}) == nil; i++ {
		}
	}},
	{"opens twice", replicate.ErrProtocol, func(v *villain) { v.drain(); v.open() }},
	{"opens under two numbers", replicate.ErrProtocol, func(v *villain) {
		v.drain()
		v.send(2, &wire.Open{DiscoveryKey: v.feed.DiscoveryKey()})
	}},
	{"many extensions", wire.ErrTooMany, func(v *villain) {
		v.drain()
		v.send(1, &wire.Options{Extensions: strings.Split(strings.Repeat("x,", wire.MaxExtensions), ",")})
	}},
}

// hostile runs the behaviors, each against a host of its own that serves an honest
// peer besides.
func hostile(t *testing.T, list []hostility, uploads bool) {
	for _, c := range list {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				from := openStore(t)
				a, err := from.Create(t.Context(), &engine.CreateOptions{Seed: &forkSeed})
				if err != nil {
					t.Fatal(err)
				}
				defer a.Close()
				fill(t, a, 10, 30)
				fill(t, a, 30, 30)
				if err := from.Sync(t.Context()); err != nil {
					t.Fatal(err)
				}
				host := newHost(t, nil, &replicate.Options{Live: !(c.want == nil), Limits: replicate.Limits{Channels: 1000}})
				f := a
				if !uploads {
					f = openFeed(t, openStore(t), a, false)
				}
				v := newVillain(t, host, f, a)
				// open reads nothing, and net.Pipe keeps nothing.
				opened := make(chan struct{})
				go func() { defer close(opened); v.open() }()
				v.until(wire.TypeOpen)
				<-opened
				done := make(chan struct{})
				go func() { defer close(done); c.do(v) }()
				err = v.session.Wait()
				v.conn.Close()
				<-done
				if !errors.Is(err, c.want) {
					t.Errorf("session ended with %v, want %v", err, c.want)
				}
				// Others are served unharmed.
				if uploads {
					b := openFeed(t, openStore(t), a, false)
					other := newHost(t, nil, &replicate.Options{EndComplete: true})
					_, s := link(t, host, other, []*engine.Feed{a}, []*engine.Feed{b})
					if err := s.Wait(); err != nil || b.Downloaded(0, 0) != 40 {
						t.Errorf("honest peer: %d blocks, %v", b.Downloaded(0, 0), err)
					}
				} else if c.want != nil {
					_, _ = link(t, host, newHost(t, nil, &replicate.Options{Live: true}), []*engine.Feed{f}, []*engine.Feed{a})
					for range 100 {
						if f.Downloaded(0, 0) == 40 {
							break
						}
						time.Sleep(100 * time.Millisecond)
					}
					checkBlocks(t, f, 0, 40, 30)
				}
				host.Close()
			})
		})
	}
}

func TestHostileUploaders(t *testing.T)   { hostile(t, readers, false) }
func TestHostileDownloaders(t *testing.T) { hostile(t, uploaders, true) }

// TestReplayedCapability shows a capability of another connection.
func TestReplayedCapability(t *testing.T) {
	a := createFeed(t, openStore(t), 3, 5)
	host := newHost(t, nil, nil)
	one, two := newVillain(t, host, a, a), newVillain(t, host, a, a)
	one.drain()
	two.drain()
	two.send(1, &wire.Open{DiscoveryKey: a.DiscoveryKey(), Capability: one.transport.AppendCapability(nil, [32]byte(a.Key()))})
	if err := two.session.Wait(); !errors.Is(err, noise.ErrCapability) {
		t.Errorf("replayed capability: %v", err)
	}
	one.send(1, &wire.Open{DiscoveryKey: a.DiscoveryKey()})
	if err := one.session.Wait(); !errors.Is(err, noise.ErrCapability) {
		t.Errorf("no capability: %v", err)
	}
}

// recorder keeps what is written through it.
type recorder struct {
	net.Conn
	out bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.out.Write(p)
	return r.Conn.Write(p)
}

// TestReplayedSession sends what an honest peer sent before.
func TestReplayedSession(t *testing.T) {
	a := createFeed(t, openStore(t), 3, 5)
	b := openFeed(t, openStore(t), a, false)
	host, other := newHost(t, nil, nil), newHost(t, nil, nil)
	ca, cb := net.Pipe()
	rec := &recorder{Conn: cb}
	sa, sb := host.Start(t.Context(), ca, false), other.Start(t.Context(), rec, true)
	add(t, sa, a)
	add(t, sb, b)
	if err := errors.Join(sa.Wait(), sb.Wait()); err != nil {
		t.Fatal(err)
	}
	ca, cb = net.Pipe()
	s := host.Start(t.Context(), ca, false)
	add(t, s, a)
	go func() { _, _ = io.Copy(io.Discard, cb) }()
	go func() { _, _ = cb.Write(rec.out.Bytes()) }()
	if err := s.Wait(); !errors.Is(err, noise.ErrHandshake) {
		t.Errorf("replayed session: %v", err)
	}
	cb.Close()
}

// TestHandshakeCrowd begins more handshakes than may be unfinished.
func TestHandshakeCrowd(t *testing.T) {
	host := newHost(t, nil, &replicate.Options{Limits: replicate.Limits{Handshakes: 3}})
	var sessions []*replicate.Session
	for range 5 {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		sessions = append(sessions, host.Start(t.Context(), ours, false))
	}
	for _, s := range sessions[:2] {
		if err := s.Wait(); !errors.Is(err, replicate.ErrHandshakes) {
			t.Errorf("oldest: %v", err)
		}
	}
	select {
	case <-sessions[2].Done():
		t.Errorf("third: %v", sessions[2].Wait())
	default:
	}
}
