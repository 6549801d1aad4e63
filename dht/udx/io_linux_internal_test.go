//go:build linux

package udx

import (
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// A train arrives as the packets it was made of, whether the system cuts it or,
// having refused to, we do; and whether or not the reader takes trains.
func TestTrains(t *testing.T) {
	open := func() *batchIO {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return newUDPIO(conn, slog.New(slog.DiscardHandler)).(*batchIO)
	}
	var train []byte
	for i := range 10 {
		train = append(train, bytes.Repeat([]byte{byte(i)}, 1000)...)
	}
	train = append(train, "the last one is shorter"...)
	for name, send := range map[string]func(tx *batchIO, r run){
		"runs":    func(tx *batchIO, r run) { tx.writeRuns([]run{r}) },
		"singles": func(tx *batchIO, r run) { tx.segments.Store(false); tx.writeRuns([]run{r}) },
		"apart": func(tx *batchIO, r run) {
			tx.writeApart(&ipv4.Message{Buffers: [][]byte{r.b}, Addr: r.via.netAddr, OOB: appendSegmentSize(nil, r.size)})
		},
	} {
		for _, busy := range []bool{false, true} {
			tx, rx := open(), open()
			if !tx.segments.Load() {
				t.Skip("this system has no segmentation offload")
			}
			for range busyReads {
				rx.grow(busy)
			}
			if rx.gro != busy {
				t.Errorf("reads trains: %v, want %v", rx.gro, busy)
			}
			to := rx.conn.LocalAddr()
			send(tx, run{via: &route{addr: addrPort(to), netAddr: to}, b: train, size: 1000, count: 11})

			var got []byte
			packets := 0
			rx.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			for packets < 11 {
				if err := rx.read(func(b []byte, from netip.AddrPort) {
					if from != addrPort(tx.conn.LocalAddr()) {
						t.Errorf("%s: from %v", name, from)
					}
					if len(b) != 1000 && packets != 10 {
						t.Errorf("%s: packet %d has %d bytes", name, packets, len(b))
					}
					got = append(got, b...)
					packets++
				}, func() {}); err != nil {
					t.Fatalf("%s, busy %v: %v after %d packets", name, busy, err, packets)
				}
			}
			if packets != 11 || !bytes.Equal(got, train) {
				t.Errorf("%s, busy %v: %d packets, %d bytes", name, busy, packets, len(got))
			}
		}
	}
}

// Datagrams that are larger than any packet may be are dropped, not cut.
func TestOversizedDatagrams(t *testing.T) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, busy := range []bool{false, true} {
		rx := newUDPIO(conn, slog.New(slog.DiscardHandler)).(*batchIO)
		for range busyReads {
			rx.grow(busy)
		}
		tx, err := net.Dial("udp4", conn.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Close()
		for _, n := range []int{maxReceive + 1, 9000, maxReceive} {
			tx.Write(make([]byte, n))
		}
		got := 0
		for got == 0 {
			if err := rx.read(func(b []byte, _ netip.AddrPort) { got = len(b) }, func() {}); err != nil {
				t.Fatal(err)
			}
		}
		if got != maxReceive {
			t.Errorf("busy %v: received %d bytes", busy, got)
		}
	}
}

func TestSegmentSize(t *testing.T) {
	oob := appendSegmentSize(nil, 1234)
	if got := segmentSizeOf(oob); got != 1234 {
		t.Errorf("%d", got)
	}
	h, data, _, err := unix.ParseOneSocketControlMessage(oob)
	if err != nil || h.Level != unix.IPPROTO_UDP || h.Type != unix.UDP_SEGMENT || len(data) != 2 {
		t.Errorf("%+v with %d bytes, %v", h, len(data), err)
	}
	for _, b := range [][]byte{nil, {1}, oob, make([]byte, 100)} {
		if got := segmentSize(b, 777); got != 777 {
			t.Errorf("without a train: %d", got)
		}
	}
}
