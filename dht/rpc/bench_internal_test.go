package rpc

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"
)

func BenchmarkEncodeReply(b *testing.B) {
	id := ID{1}
	p := replyPacket{tid: 7, to: addrOf(1), id: id[:], token: id[:], value: make([]byte, 100)}
	for i := range bucketSize {
		p.closer = appendCloser(p.closer, addrOf(i))
	}
	buf := make([]byte, 0, MaxDatagram)
	b.SetBytes(int64(p.size()))
	b.ReportAllocs()
	for b.Loop() {
		buf = p.append(buf[:0])
	}
}

func BenchmarkDecodeReply(b *testing.B) {
	id := ID{1}
	p := replyPacket{tid: 7, to: addrOf(1), id: id[:], token: id[:], value: make([]byte, 100)}
	for i := range bucketSize {
		p.closer = appendCloser(p.closer, addrOf(i))
	}
	buf := p.append(nil)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if err := p.decode(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClosest(b *testing.B) {
	for _, size := range []int{10, 200, 100_000} {
		b.Run(fmt.Sprintf("offered=%d", size), func(b *testing.B) {
			rnd := rand.New(rand.NewPCG(1, 1))
			tab := newTable(randomID(rnd))
			for i := range size {
				tab.add(&tableNode{id: randomID(rnd), addr: addrOf(i)})
			}
			targets := make([]ID, 256)
			for i := range targets {
				targets[i] = randomID(rnd)
			}
			var nodes []*tableNode
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				nodes = tab.closest(nodes, targets[i%len(targets)], bucketSize)
				i++
			}
		})
	}
}

// null is a Socket that sends nowhere.
type null struct{ addr netip.AddrPort }

func (n *null) WriteTo([]byte, netip.AddrPort) error { return nil }
func (n *null) AddrPort() netip.AddrPort             { return n.addr }
func (n *null) Close() error                         { return nil }

// BenchmarkAnswer is what a request costs the node that answers, without sockets.
func BenchmarkAnswer(b *testing.B) {
	target := ID{9}
	for name, p := range map[string]requestPacket{
		"ping":      {internal: true, command: commandPing},
		"find-node": {internal: true, command: commandFindNode, target: target[:]},
		"get":       {command: commandGet, target: target[:]},
	} {
		b.Run(name, func(b *testing.B) {
			n := newIdleNode(b, &Options{OnRequest: func(r *Request) bool { return r.Reply(nil, nil) == nil }})
			server := &null{addrOf(1)}
			n.core.server, n.core.client = server, &null{addrOf(2)}
			n.core.ephemeral = false
			for i := range 100 {
				n.core.addNode(addrOf(i + 10))
			}
			p.to = server.addr
			msg, from := p.append(nil), addrOf(5)
			b.ReportAllocs()
			for b.Loop() {
				n.Receive(server, msg, from)
			}
		})
	}
}

// loopback starts a network on real sockets.
func loopback(b *testing.B, size int) (nodes []*Node, client *Node) {
	b.Helper()
	lo := netip.MustParseAddr("127.0.0.1")
	boot, err := NewBootstrapper(netip.AddrPortFrom(lo, 0), &Options{Host: lo})
	if err != nil {
		b.Fatal(err)
	}
	start(b, boot)
	ready(b, boot)
	for len(nodes) < size {
		o := &Options{Host: lo, Bootstrap: []string{boot.ServerSocket().AddrPort().String()}}
		if len(nodes) < size-1 {
			storing(o)
		}
		n, err := New(o)
		if err != nil {
			b.Fatal(err)
		}
		start(b, n)
		ready(b, n)
		nodes = append(nodes, n)
	}
	return nodes[:size-1], nodes[size-1]
}

// BenchmarkRequest is a round trip between two nodes on the loopback interface.
func BenchmarkRequest(b *testing.B) {
	nodes, client := loopback(b, 2)
	to := nodes[0].ServerSocket().AddrPort()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Ping(b.Context(), to, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStore puts and gets values in a network of ten nodes, all on this machine.
func BenchmarkStore(b *testing.B) {
	const parallel = 16
	_, client := loopback(b, 10)
	value := make([]byte, 100)
	run := func(b *testing.B, f func(target ID) error) {
		before := client.Stats().Requests
		began := time.Now()
		work := make(chan ID)
		var wg sync.WaitGroup
		for range parallel {
			wg.Go(func() {
				for target := range work {
					if err := f(target); err != nil {
						b.Error(err)
					}
				}
			})
		}
		rnd := rand.New(rand.NewPCG(1, 2))
		i := 0
		for b.Loop() {
			target := ID{byte(i), byte(i >> 8), byte(rnd.Uint32())}
			work <- target
			i++
		}
		close(work)
		wg.Wait()
		b.ReportMetric(float64(i)/time.Since(began).Seconds(), "op/s")
		b.ReportMetric(float64(client.Stats().Requests-before)/float64(i), "requests/op")
		b.ReportAllocs()
	}
	b.Run("put", func(b *testing.B) {
		run(b, func(target ID) error { return put(b.Context(), client, target, value) })
	})
	b.Run("get", func(b *testing.B) {
		target := ID{1, 2, 3}
		if err := put(b.Context(), client, target, value); err != nil {
			b.Fatal(err)
		}
		run(b, func(ID) error {
			_, err := get(b.Context(), client, target)
			return err
		})
	})
}
