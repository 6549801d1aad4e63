package dht

import (
	"net/netip"

	"github.com/cairn-feeds/cairn/dht/rpc"
	"github.com/cairn-feeds/cairn/dht/udx"
)

var _ interface {
	rpc.Socket
	rpc.TTLSender
} = (*udx.Socket)(nil)

// bind opens one of the two sockets of the network below, which UDX streams use as
// well.
func (n *Node) bind(local netip.AddrPort, receive func(s rpc.Socket, b []byte, from netip.AddrPort)) (rpc.Socket, error) {
	s, err := n.open(local, func(s *udx.Socket, b []byte, from netip.AddrPort) { receive(s, b, from) }, nil)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// open opens a socket. handle gets what is not for a stream; idle, which may be nil,
// is called when the last stream has left the socket.
func (n *Node) open(local netip.AddrPort, handle func(s *udx.Socket, b []byte, from netip.AddrPort), idle func()) (*udx.Socket, error) {
	conn, err := n.opts.ListenPacket(local)
	if err != nil {
		return nil, err
	}
	return n.mux.Attach(conn, &udx.SocketOptions{Handler: handle, OnIdle: idle})
}

// mainSocket returns the socket that requests leave from, or nil.
func (n *Node) mainSocket() *udx.Socket { return udxSocket(n.rpc.Socket()) }

// serverSocket returns the socket that others may reach, or nil.
func (n *Node) serverSocket() *udx.Socket { return udxSocket(n.rpc.ServerSocket()) }

func udxSocket(s rpc.Socket) *udx.Socket {
	u, _ := s.(*udx.Socket)
	return u
}

// probe is what opens and finds ways through NATs.
var probe = []byte{0}

// lowTTL lets a probe pass the own NAT without reaching the other one.
const lowTTL = 5

func sendProbe(s *udx.Socket, to netip.AddrPort, low bool) {
	if low {
		if s.WriteToTTL(probe, to, lowTTL) == nil {
			return
		}
	}
	_ = s.WriteTo(probe, to) // a lost probe is nothing special
}
