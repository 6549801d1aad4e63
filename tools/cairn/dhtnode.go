package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/dht"
	"github.com/cairn-feeds/cairn/dht/rpc"
	"github.com/cairn-feeds/cairn/engine"
)

// dhtGoodbye is how long the end of a node may take that was told to end.
const dhtGoodbye = 5 * time.Second

func (a *app) dhtBootstrapCommand(f *dhtFlags) *cobra.Command {
	return &cobra.Command{
		Use: "bootstrap", Short: "Run the first node of a network",
		Long: `Run the first node of a network of your own, from which all others start. It ends with a signal.

--host is the address by which the others reach it, 127.0.0.1 unless given; its --port must be open to them, and is 49737
unless given. With --bootstrap it knows other such nodes.`,
		Example: indent("cairn dht bootstrap\ncairn dht bootstrap --host 192.0.2.7 --port 49737"),
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := f.options(cmd)
			if err != nil {
				return err
			}
			public := netip.AddrPortFrom(o.RPC.Host, f.port)
			if f.host == "" {
				public = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), f.port)
			}
			if !cmd.Flags().Changed("port") {
				public = netip.AddrPortFrom(public.Addr(), dht.DefaultPort)
			}
			// The public address may be that of a router which passes packets on.
			if o.RPC.Host = public.Addr(); !o.RPC.Host.IsLoopback() {
				o.RPC.Host = netip.IPv4Unspecified()
			}
			n, err := dht.NewBootstrapper(public, &o)
			if err != nil {
				return err
			}
			return a.runNodes(cmd.Context(), []*dht.Node{n}, func(n *dht.Node) netip.AddrPort {
				return netip.AddrPortFrom(public.Addr(), n.Addr().Port())
			})
		},
	}
}

func (a *app) dhtNodeCommand(f *dhtFlags) *cobra.Command {
	var count int
	var persistent bool
	cmd := &cobra.Command{
		Use: "node", Short: "Run a node, which keeps records for others",
		Long: `Run a node of the network. After 20 minutes in which others could reach it, it becomes persistent: it is found by others and
keeps records for them. In a network of your own --persistent skips that; its port must be open then. It ends with a signal.

With --store the records are kept in the store, and are there again when the node is started anew.`,
		Example: indent("cairn dht node\ncairn dht node --nodes 3 --persistent --host 127.0.0.1 --bootstrap 127.0.0.1:49737"),
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := f.options(cmd)
			switch {
			case err != nil:
				return err
			case count < 1:
				return &usageError{cmd, fmt.Errorf("--nodes %d: at least one", count)}
			case count > 1 && f.port != 0:
				return &usageError{cmd, errors.New("--port is for one node")}
			case count > 1 && cmd.Flags().Changed("store"):
				return &usageError{cmd, errors.New("--store is for one node")}
			}
			if persistent {
				o.RPC.Mode, o.RPC.NotFirewalled = rpc.Persistent, true
			}
			if !cmd.Flags().Changed("store") {
				return a.startNodes(cmd.Context(), count, &o)
			}
			return a.withStore(cmd.Context(), access{write: true, create: true}, func(s *engine.Store) error {
				rows, err := s.Reserved("dht")
				if err != nil {
					return err
				}
				o.RecordStore = recordRows{rows}
				return a.startNodes(cmd.Context(), count, &o)
			})
		},
	}
	cmd.Flags().IntVar(&count, "nodes", 1, "how many `nodes` to run")
	cmd.Flags().BoolVar(&persistent, "persistent", false, "be persistent at once, for networks of your own")
	return cmd
}

func (a *app) startNodes(ctx context.Context, count int, o *dht.Options) error {
	var nodes []*dht.Node
	for range count {
		n, err := dht.New(o)
		if err != nil {
			return errors.Join(err, closeNodes(nodes))
		}
		nodes = append(nodes, n)
	}
	return a.runNodes(ctx, nodes, func(n *dht.Node) netip.AddrPort {
		if addr := n.Addr(); !addr.Addr().IsUnspecified() {
			return addr
		}
		return n.RPC().LocalAddr()
	})
}

// runNodes runs nodes until a signal comes.
func (a *app) runNodes(ctx context.Context, nodes []*dht.Node, addr func(*dht.Node) netip.AddrPort) (err error) {
	defer func() { err = errors.Join(err, closeNodes(nodes)) }()
	for _, n := range nodes {
		if err := n.Ready(ctx); err != nil {
			return err
		}
		if err := a.print(listening{addr(n).String()}); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

func closeNodes(nodes []*dht.Node) error {
	ctx, cancel := context.WithTimeout(context.Background(), dhtGoodbye)
	defer cancel()
	var errs []error
	for _, n := range nodes {
		errs = append(errs, n.Close(ctx))
	}
	return errors.Join(errs...)
}

// recordRows keeps the records of a node in rows of the store.
type recordRows struct{ rows *engine.Reserved }

func (r recordRows) Load(f func(key, value []byte) error) error {
	var failed error
	err := r.rows.Scan(nil, func(key, value []byte) bool {
		failed = f(key, value)
		return failed == nil
	})
	return errors.Join(err, failed)
}

func (r recordRows) Put(key, value []byte) error { return r.rows.Set(key, value) }
func (r recordRows) Delete(key []byte) error     { return r.rows.Set(key, nil) }

func (a *app) dhtPingCommand(f *dhtFlags) *cobra.Command {
	return &cobra.Command{
		Use: "ping ADDR", Short: "Ask a node for an answer",
		Long:    `Ask the node at an address, IP:PORT, for nothing but an answer, and print how long it took.`,
		Example: indent("cairn dht ping 88.99.3.86:49737"),
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := netip.ParseAddrPort(args[0])
			if err != nil {
				return &usageError{cmd, fmt.Errorf("%q is not IP:PORT", args[0])}
			}
			if !cmd.Flags().Changed("bootstrap") {
				_ = cmd.Flags().Set("bootstrap", "") // nobody else is needed
			}
			return f.withNode(cmd, func(ctx context.Context, n *dht.Node) error {
				r, err := n.Ping(ctx, to)
				if err != nil {
					return err
				}
				p := pong{Node: to.String(), To: r.To.String(), RTT: float64(r.RTT.Microseconds()) / 1000}
				if !r.FromID.IsZero() {
					p.ID = r.FromID.String()
				}
				return a.print(p)
			})
		},
	}
}

// pong is a node's answer to a ping.
type pong struct {
	Node string  `json:"node"`
	ID   string  `json:"id,omitempty"` // of a persistent node
	To   string  `json:"to"`           // our address, as it is seen from there
	RTT  float64 `json:"rtt_ms"`
}

func (p pong) text(w io.Writer) {
	fmt.Fprintf(w, "%s answered in %s ms", p.Node, figureText(p.RTT))
	if p.ID != "" {
		fmt.Fprintf(w, ", it is the persistent node %s", p.ID)
	}
	fmt.Fprintf(w, "; it sees us as %s\n", p.To)
}
