package udx_test

import (
	"container/heap"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// impairment is what a forwarder does to the packets of each direction.
type impairment struct {
	seed    uint64
	loss    float64
	reorder float64 // probability of being held back for hold
	hold    time.Duration
	delay   time.Duration
}

// forwarder carries datagrams between two real sockets, badly. Each side sends to
// the forwarder's address for the other one.
type forwarder struct {
	socks [2]*net.UDPConn // socks[i] is what side i talks to
	peers [2]netip.AddrPort
	link  impairment
	lanes [2]lane
	wg    sync.WaitGroup
	done  chan struct{}
}

// lane is one direction.
type lane struct {
	mu     sync.Mutex
	random *rand.Rand
	queue  held
	order  int
	wake   chan struct{}
}

// forward starts a forwarder between the sockets at a and b, on loopback, and
// returns where a sends to reach b and where b sends to reach a.
func forward(t testing.TB, a, b netip.AddrPort, link impairment) (toB, toA netip.AddrPort) {
	t.Helper()
	f := &forwarder{peers: [2]netip.AddrPort{a, b}, link: link, done: make(chan struct{})}
	for i := range f.socks {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		c.SetReadBuffer(4 << 20)
		c.SetWriteBuffer(4 << 20)
		f.socks[i] = c
		f.lanes[i].random = rand.New(rand.NewPCG(link.seed, uint64(i)))
		f.lanes[i].wake = make(chan struct{}, 1)
	}
	for i := range f.socks {
		f.wg.Go(func() { f.receive(i) })
		f.wg.Go(func() { f.deliver(i) })
	}
	t.Cleanup(func() {
		close(f.done)
		for _, c := range f.socks {
			c.Close()
		}
		f.wg.Wait()
	})
	return f.socks[0].LocalAddr().(*net.UDPAddr).AddrPort(), f.socks[1].LocalAddr().(*net.UDPAddr).AddrPort()
}

// receive takes what side i sends.
func (f *forwarder) receive(i int) {
	l := &f.lanes[i]
	buf := make([]byte, 2048)
	for {
		n, err := f.socks[i].Read(buf)
		if err != nil {
			return
		}
		l.mu.Lock()
		lost := l.random.Float64() < f.link.loss
		late := l.random.Float64() < f.link.reorder
		if !lost {
			at := time.Now().Add(f.link.delay)
			if late {
				at = at.Add(f.link.hold)
			}
			l.order++
			heap.Push(&l.queue, heldPacket{at, l.order, append([]byte(nil), buf[:n]...)})
		}
		l.mu.Unlock()
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// deliver passes on what side i sent when its time has come.
func (f *forwarder) deliver(i int) {
	l := &f.lanes[i]
	timer := time.NewTimer(time.Hour)
	for {
		l.mu.Lock()
		now := time.Now()
		for len(l.queue) > 0 && !l.queue[0].at.After(now) {
			p := heap.Pop(&l.queue).(heldPacket)
			f.socks[1-i].WriteToUDPAddrPort(p.b, f.peers[1-i])
		}
		wait := time.Hour
		if len(l.queue) > 0 {
			wait = time.Until(l.queue[0].at)
		}
		l.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-l.wake:
		case <-f.done:
			return
		}
	}
}

type heldPacket struct {
	at    time.Time
	order int
	b     []byte
}

type held []heldPacket

func (h held) Len() int { return len(h) }
func (h held) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].order < h[j].order
	}
	return h[i].at.Before(h[j].at)
}
func (h held) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *held) Push(x any)   { *h = append(*h, x.(heldPacket)) }
func (h *held) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
