package rpc

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
)

// TestTTL sends datagrams with a time to live of their own between usual ones.
func TestTTL(t *testing.T) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p := ipv4.NewPacketConn(conn)
	if err := p.SetControlMessage(ipv4.FlagTTL, true); err != nil {
		t.Skip(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	to := conn.LocalAddr().(*net.UDPAddr).AddrPort()

	n, err := New(&Options{Host: netip.MustParseAddr("127.0.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	start(t, n)
	usual := 0
	for i, ttl := range []int{0, 5, 0, 7, 0} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if _, err := n.Ping(ctx, to, &RequestOptions{TTL: ttl}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		cancel()
		_, cm, _, err := p.ReadFrom(make([]byte, 100))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			usual = cm.TTL
		}
		if ttl == 0 {
			ttl = usual
		}
		if cm.TTL != ttl {
			t.Errorf("datagram %d has a time to live of %d, want %d", i, cm.TTL, ttl)
		}
	}
}

// TestClosedSocket closes a socket under its reader.
func TestClosedSocket(t *testing.T) {
	s, err := BindUDP(netip.MustParseAddrPort("127.0.0.1:0"), func(Socket, []byte, netip.AddrPort) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteTo([]byte{1, 2}, s.AddrPort()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("writing to a closed socket: %v", err)
	}
	if _, err := BindUDP(netip.MustParseAddrPort("203.0.113.1:1"), nil); err == nil {
		t.Error("bound to the address of another machine")
	}
}

func TestSystemInterfaces(t *testing.T) {
	all, err := SystemInterfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Name == "" || !i.Addr.IsValid() || i.Internal != i.Addr.IsLoopback() && i.Addr.Is4() {
			t.Errorf("interface %+v", i)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	a := addrOf(1)
	for _, tt := range []struct {
		err  error
		is   error
		want string
	}{
		{&RequestError{To: a, Err: ErrTimeout}, ErrTimeout, "rpc: request to 10.0.0.1:1001: request timed out"},
		{(&Reply{From: a, Code: InvalidToken}).Err(), nil, "rpc: 10.0.0.1:1001 answered INVALID_TOKEN"},
		{(&Reply{From: a, Code: 77}).Err(), nil, "rpc: 10.0.0.1:1001 answered error 77"},
		{new(requestPacket).decode([]byte{requestHeader, 1}), ErrMalformed, "rpc: malformed message: compact: uint16 at byte 2: out of bounds"},
		{new(replyPacket).decode([]byte{requestHeader}), ErrMalformed, "rpc: malformed message: not a reply"},
	} {
		if tt.err.Error() != tt.want || tt.is != nil && !errors.Is(tt.err, tt.is) {
			t.Errorf("%q, want %q", tt.err, tt.want)
		}
	}
	for k := EventListening; k <= EventClose; k++ {
		if s := k.String(); s == "unknown" || strings.ToLower(s) != s {
			t.Errorf("event %d is called %q", k, s)
		}
	}
}
