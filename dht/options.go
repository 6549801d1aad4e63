package dht

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/cairn-feeds/cairn/dht/rpc"
)

// DefaultPort is the port that nodes of the public network use where it is free.
const DefaultPort = 49737

// PublicBootstrap returns the bootstrap nodes of the public network.
func PublicBootstrap() []string {
	return []string{
		"88.99.3.86@node1.hyperdht.org:49737",
		"142.93.90.113@node2.hyperdht.org:49737",
		"138.68.147.8@node3.hyperdht.org:49737",
	}
}

// Options configure a node. The zero value, like nil, is a node of the public network
// with a key pair of its own.
type Options struct {
	// RPC are the options of the network below. A nil RPC.Bootstrap means the public
	// network, an empty one none: the node is the first of its own, see also
	// NewBootstrapper. RPC.OnRequest gets the requests whose command is not one of
	// hyperdht's, 0 to 10. RPC.Bind must be nil, ListenPacket is instead.
	RPC rpc.Options

	// KeyPair is what servers listen with and connections are made with unless they
	// say otherwise. Nil means the one of Seed, or a random one without that either.
	KeyPair *KeyPair
	Seed    *[32]byte

	// ConnectionKeepAlive is how long a connection may be silent before something
	// empty is sent. Zero means 5 seconds, negative means that it may be forever.
	ConnectionKeepAlive time.Duration

	// RandomPunchInterval is how long after the end of a holepunch that guesses ports,
	// which sends a lot, the next one may begin. Zero means 20 seconds.
	RandomPunchInterval time.Duration
	// DeferRandomPunch waits that long before the first one too.
	DeferRandomPunch bool

	// MaxRecords bounds what is stored for others: so many peers of topics and servers,
	// and half as many mutable and immutable values. Zero means 65536.
	MaxRecords int
	// MaxRecordAge is how long that is kept. Zero means 20 minutes for peers and 48
	// hours for values.
	MaxRecordAge time.Duration
	// RecordStore keeps values and peers of topics while the node is not running. Nil
	// means that they are lost.
	RecordStore RecordStore

	// ListenPacket opens the sockets of the node. Nil means UDP sockets of the system.
	// What it returns must have *net.UDPAddr as addresses, and should have the method
	// WriteToTTL(b []byte, to net.Addr, ttl int) (int, error).
	ListenPacket func(local netip.AddrPort) (net.PacketConn, error)
}

func (o *Options) withDefaults() (Options, error) {
	var r Options
	if o != nil {
		r = *o
	}
	if r.RPC.Bind != nil {
		return r, errors.New("dht: Options.RPC.Bind is set; use Options.ListenPacket")
	}
	if r.RPC.Bootstrap == nil {
		r.RPC.Bootstrap = PublicBootstrap()
	}
	if r.RPC.Logger == nil {
		r.RPC.Logger = slog.New(slog.DiscardHandler)
	}
	if r.ListenPacket == nil {
		r.ListenPacket = listenUDP
		if r.RPC.Interfaces == nil {
			r.RPC.Interfaces = rpc.SystemInterfaces
		}
	}
	switch {
	case r.KeyPair != nil:
		if err := r.KeyPair.check(); err != nil {
			return r, fmt.Errorf("dht: Options.KeyPair: %w", err)
		}
	case r.Seed != nil:
		k := KeyPairFromSeed(*r.Seed)
		r.KeyPair = &k
	default:
		k := NewKeyPair()
		r.KeyPair = &k
	}
	switch {
	case r.ConnectionKeepAlive == 0:
		r.ConnectionKeepAlive = 5 * time.Second
	case r.ConnectionKeepAlive < 0:
		r.ConnectionKeepAlive = 0
	}
	if r.RandomPunchInterval <= 0 {
		r.RandomPunchInterval = 20 * time.Second
	}
	if r.MaxRecords <= 0 {
		r.MaxRecords = defaultMaxRecords
	}
	if r.MaxRecordAge < 0 {
		return r, fmt.Errorf("dht: Options.MaxRecordAge is %v", r.MaxRecordAge)
	}
	filter := r.RPC.FilterNode
	r.RPC.FilterNode = func(a netip.AddrPort) bool {
		return !slices.Contains(strayNodes, a) && a.Addr() != strayHost && (filter == nil || filter(a))
	}
	return r, nil
}

// Nodes of a test network that once got mixed with the public one. hyperdht passes
// over them too.
var (
	strayNodes = []netip.AddrPort{
		netip.MustParseAddrPort("134.209.28.98:49738"),
		netip.MustParseAddrPort("167.99.142.185:49738"),
		netip.MustParseAddrPort("35.233.47.252:9400"),
	}
	strayHost = netip.MustParseAddr("150.136.142.116")
)

func listenUDP(local netip.AddrPort) (net.PacketConn, error) {
	return net.ListenUDP("udp4", net.UDPAddrFromAddrPort(local))
}
