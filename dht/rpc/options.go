package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Mode says whether a node becomes part of the routing tables of others.
type Mode uint8

const (
	// Adaptive nodes begin ephemeral and become persistent after 20 minutes in which
	// nothing changed, if others reach them.
	Adaptive Mode = iota
	// Ephemeral nodes never become persistent.
	Ephemeral
	// Persistent nodes become so when they start: as soon as other nodes have told them
	// their address and, unless Options.NotFirewalled says so, have reached them. If
	// that fails, they stay ephemeral. The first node of an isolated network has nobody
	// to tell it; see [NewBootstrapper].
	Persistent
)

func (m Mode) String() string {
	switch m {
	case Adaptive:
		return "adaptive"
	case Ephemeral:
		return "ephemeral"
	case Persistent:
		return "persistent"
	default:
		return "invalid"
	}
}

// Options configure a node. The zero value is a node of its own network.
type Options struct {
	// Bootstrap are nodes that are asked while too few others are known: "host:port",
	// or "ip@host:port", where ip is tried first and host is looked up only if it does
	// not answer. Those that cannot be found are skipped. Empty means none.
	Bootstrap []string

	// Host is the local IPv4 address to bind to. The zero value means all.
	Host netip.Addr

	// Port is where the range of ports begins that are tried for the server socket,
	// and PortEnd is the port after the last one. A PortEnd of zero means Port+5. Port
	// zero means any port.
	Port, PortEnd uint16

	// FixedPort makes it an error if a port of the range is taken. Otherwise the next
	// is tried, and in the end any.
	FixedPort bool

	// Mode says when the node becomes persistent. Zero means Adaptive.
	Mode Mode

	// NotFirewalled says that others reach the server socket. Otherwise that is
	// probed, and requests leave from the client socket meanwhile.
	NotFirewalled bool

	// NoQuickFirewall leaves out the probe at the end of bootstrapping, which can find
	// within a second that there is no firewall. What remains is the one after 20
	// minutes.
	NoQuickFirewall bool

	// Concurrency is how many nodes a query asks at a time. Zero means 10.
	Concurrency int

	// MaxWindow is how many requests may be unanswered in one slot of the congestion
	// window. Zero means 80.
	MaxWindow int

	// MaxPingDelay is the longest delay that a delayed ping, ours or another's, may
	// have. Zero means 10 seconds.
	MaxPingDelay time.Duration

	// NoDownHints leaves out telling nodes that others they know seem to be down.
	NoDownHints bool

	// DownHintsPerTick bounds how often they are told, per 5 seconds. Zero means 50,
	// negative means no limit.
	DownHintsPerTick int

	// Nodes are put into the routing table at once, the first as the latest. They
	// must be persistent ones.
	Nodes []netip.AddrPort

	// FilterNode, if set, is asked which nodes may be in the routing table and in
	// queries. It must be quick and must not call the node.
	FilterNode func(netip.AddrPort) bool

	// AdaptiveTimeout, if set, adapts how long requests wait to the nodes asked.
	// Otherwise it is a second.
	AdaptiveTimeout *AdaptiveTimeout

	// OnRequest handles requests with commands of the application. It reports whether
	// it knows the command; if not, the node answers so. The request and its slices
	// are valid until it returns, see [Request.Clone]. It is called by the goroutines
	// that read the sockets, for several requests at once, and should not wait. A
	// token in a request has been checked. Nil means that there are no commands.
	OnRequest func(*Request) bool

	// OnEvent, if set, is told what happens. It is called outside of all locks by
	// whoever caused the event, must return soon, and must not call Close, Suspend or
	// Resume.
	OnEvent func(Event)

	// Bind binds the sockets. Nil means BindUDP.
	Bind BindFunc

	// Resolve finds an IPv4 address of a bootstrap host. Nil means the resolver of
	// package net.
	Resolve func(ctx context.Context, host string) (netip.Addr, error)

	// Interfaces returns the addresses of the machine, and is asked every 5 seconds
	// whether they changed. Nil means SystemInterfaces if Bind is nil, otherwise none.
	Interfaces func() ([]Interface, error)

	// Logger is told of changes of state (Info) and of dropped messages (Debug). Nil
	// means none.
	Logger *slog.Logger
}

// withDefaults returns a copy of o with every default filled in.
func (o *Options) withDefaults() (Options, error) {
	var r Options
	if o != nil {
		r = *o
	}
	if !r.Host.IsValid() {
		r.Host = netip.IPv4Unspecified()
	}
	if !isIPv4(r.Host) {
		return r, fmt.Errorf("rpc: host %v: %w", r.Host, ErrAddress)
	}
	r.Host = r.Host.Unmap()
	if r.PortEnd != 0 && r.PortEnd <= r.Port {
		return r, fmt.Errorf("rpc: ports %d to %d: range is empty", r.Port, r.PortEnd)
	}
	if r.Concurrency <= 0 {
		r.Concurrency = 10
	}
	if r.MaxWindow <= 0 {
		r.MaxWindow = 80
	}
	if r.MaxPingDelay <= 0 {
		r.MaxPingDelay = 10 * time.Second
	}
	if r.DownHintsPerTick == 0 {
		r.DownHintsPerTick = 50
	}
	if r.Interfaces == nil && r.Bind == nil {
		r.Interfaces = SystemInterfaces
	}
	if r.Bind == nil {
		r.Bind = BindUDP
	}
	if r.Resolve == nil {
		r.Resolve = resolve
	}
	if r.Logger == nil {
		r.Logger = slog.New(slog.DiscardHandler)
	}
	for _, addr := range r.Nodes {
		if err := checkAddr(addr); err != nil {
			return r, err
		}
	}
	return r, nil
}

// ports returns the range of ports to try for the server socket, [from, to).
func (o *Options) ports() (from, to int) {
	switch {
	case o.Port == 0:
		return 0, 0
	case o.PortEnd == 0:
		return int(o.Port), min(int(o.Port)+5, 1<<16)
	default:
		return int(o.Port), int(o.PortEnd)
	}
}

// bootstrapNode is a parsed entry of Options.Bootstrap.
type bootstrapNode struct {
	suggested netip.Addr // to try before host; may be invalid
	host      string
	port      uint16
}

func parseBootstrap(s string) (b bootstrapNode, err error) {
	fail := func(err error) (bootstrapNode, error) {
		return bootstrapNode{}, fmt.Errorf("rpc: bootstrap node %q: %w", s, err)
	}
	hosts, port, found := strings.Cut(s, ":")
	if !found {
		return fail(errors.New("format is host:port"))
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return fail(errors.New("not a port: " + port))
	}
	b.port = uint16(n)
	suggested, host, found := strings.Cut(hosts, "@")
	if !found {
		suggested, host = "", hosts
	}
	if host == "" {
		return fail(errors.New("no host"))
	}
	b.host = host
	if suggested != "" {
		b.suggested, err = netip.ParseAddr(suggested)
		if err != nil || !isIPv4(b.suggested) {
			return fail(errors.New("not an IPv4 address: " + suggested))
		}
	}
	return b, nil
}

func resolve(ctx context.Context, host string) (netip.Addr, error) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
	if err != nil {
		return netip.Addr{}, err
	}
	return addrs[0].Unmap(), nil
}

// checkAddr returns an error unless datagrams can be sent to addr.
func checkAddr(addr netip.AddrPort) error {
	if !isUsable(addr) {
		return fmt.Errorf("rpc: %v: %w", addr, ErrAddress)
	}
	return nil
}

func isUsable(addr netip.AddrPort) bool {
	ip := addr.Addr().Unmap()
	return ip.Is4() && addr.Port() != 0 && !ip.IsUnspecified() && !ip.IsMulticast() && ip != broadcast
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
