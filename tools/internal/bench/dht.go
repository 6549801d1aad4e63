package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairn-feeds/cairn/dht"
	"github.com/cairn-feeds/cairn/dht/rpc"
)

const (
	dhtNodes    = 10 // in the network
	dhtConnects = 20 // of which the median counts
	dhtAtOnce   = 8  // puts and gets
)

// DHT connects over a network of ten nodes on this machine, moves Count pieces of Size bytes through one connection, and puts
// and gets Records immutable values.
func DHT(ctx context.Context, o Options) (Report, error) {
	r := Report{Bench: "dht", Count: o.Count, Size: o.Size, Records: o.Records}
	if err := check(o.Count, o.Size, o.Records); err != nil {
		return r, err
	}
	net, err := newDHTNetwork(ctx)
	if err != nil {
		return r, err
	}
	return r, errors.Join(net.measure(ctx, &o, &r), net.close())
}

// dhtNetwork is a DHT on this machine and two nodes that use it.
type dhtNetwork struct {
	all  []*dht.Node
	a, b *dht.Node
}

func newDHTNetwork(ctx context.Context) (*dhtNetwork, error) {
	n := &dhtNetwork{}
	local := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	add := func(node *dht.Node, err error) (*dht.Node, error) {
		if err != nil {
			return nil, errors.Join(err, n.close())
		}
		n.all = append(n.all, node)
		if err := node.Ready(ctx); err != nil {
			return nil, errors.Join(err, n.close())
		}
		return node, nil
	}
	first, err := add(dht.NewBootstrapper(netip.AddrPortFrom(local, 0), &dht.Options{RPC: rpc.Options{Host: local}}))
	if err != nil {
		return nil, err
	}
	options := rpc.Options{Host: local, Bootstrap: []string{first.Addr().String()}}
	persistent := options
	persistent.Mode, persistent.NotFirewalled = rpc.Persistent, true
	for range dhtNodes - 1 {
		if _, err := add(dht.New(&dht.Options{RPC: persistent})); err != nil {
			return nil, err
		}
	}
	// The users are behind a firewall, as far as they know, so that connects take the whole way.
	options.Mode, options.NoQuickFirewall = rpc.Ephemeral, true
	if n.a, err = add(dht.New(&dht.Options{RPC: options})); err != nil {
		return nil, err
	}
	n.b, err = add(dht.New(&dht.Options{RPC: options}))
	return n, err
}

func (n *dhtNetwork) close() error {
	var errs []error
	for _, node := range slices.Backward(n.all) {
		errs = append(errs, node.Destroy())
	}
	return errors.Join(errs...)
}

func (n *dhtNetwork) measure(ctx context.Context, o *Options, r *Report) error {
	server := n.a.CreateServer(nil)
	if err := server.Listen(ctx, nil); err != nil {
		return err
	}
	var times []time.Duration
	for range dhtConnects {
		var c *dht.Conn
		d, err := timed(func() (err error) {
			c, err = n.b.Connect(ctx, server.PublicKey(), nil)
			return err
		})
		if err != nil {
			return err
		}
		accepted, err := accept(ctx, server)
		if err != nil {
			return err
		}
		c.Destroy()
		accepted.Destroy()
		times = append(times, d)
	}
	slices.Sort(times)
	r.ConnectMS = float64(times[len(times)/2].Microseconds()) / 1000

	if err := n.stream(ctx, server, o, r); err != nil {
		return err
	}
	if err := n.records(ctx, o.Records, r); err != nil {
		return err
	}
	r.usage()
	return nil
}

// accept returns the server's end of a connection whose other end is there.
func accept(ctx context.Context, server *dht.Server) (*dht.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("the server's end of a connection did not come"))
	defer cancel()
	return server.AcceptConn(ctx)
}

// stream moves data through one connection.
func (n *dhtNetwork) stream(ctx context.Context, server *dht.Server, o *Options, r *Report) error {
	to, err := n.b.Connect(ctx, server.PublicKey(), nil)
	if err != nil {
		return err
	}
	defer to.Destroy()
	from, err := accept(ctx, server)
	if err != nil {
		return err
	}
	defer from.Destroy()
	stop := context.AfterFunc(ctx, func() { to.Destroy(); from.Destroy() })
	defer stop()

	piece := samples(o.Size)[0]
	total := int64(o.Count) * int64(o.Size)
	took, err := timed(func() error {
		written := make(chan error, 1)
		go func() {
			for range o.Count {
				if _, err := to.Write(piece); err != nil {
					written <- err
					return
				}
			}
			written <- nil
		}()
		_, err := io.CopyN(io.Discard, from, total)
		return errors.Join(err, <-written)
	})
	r.StreamMBPerSecond = float64(total) / took.Seconds() / 1e6
	return err
}

// records puts values at one node and gets them at the other.
func (n *dhtNetwork) records(ctx context.Context, count int, r *Report) error {
	hashes := make([][32]byte, count)
	value := func(i int) []byte { return fmt.Appendf(nil, "record %d", i) }
	put, err := timed(func() error {
		return pool(count, func(i int) error {
			p, err := n.a.PutImmutable(ctx, value(i), nil)
			if err == nil {
				hashes[i] = p.Hash
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	got, err := timed(func() error {
		return pool(count, func(i int) error {
			g, err := n.b.GetImmutable(ctx, hashes[i], nil)
			if err == nil && !bytes.Equal(g.Value, value(i)) {
				err = fmt.Errorf("record %d is another one", i)
			}
			return err
		})
	})
	r.PutPerSecond, r.LookupPerSecond = rate(count, put), rate(count, got)
	return err
}

// pool does something count times, dhtAtOnce at a time.
func pool(count int, do func(i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, dhtAtOnce)
	for w := range dhtAtOnce {
		wg.Go(func() {
			for errs[w] == nil {
				i := int(next.Add(1)) - 1
				if i >= count {
					return
				}
				errs[w] = do(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
