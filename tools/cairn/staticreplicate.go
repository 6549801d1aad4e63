package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine/static"
	wire "github.com/cairn-feeds/cairn/replicate/static"
)

func (a *app) staticReplicateCommand() *cobra.Command {
	acc := access{write: true, create: true}
	var l link
	cmd := &cobra.Command{
		Use: "replicate (--listen ADDR | --connect ADDR) [ID...]", Short: "Exchange static feeds with peers over TCP",
		Long: `Exchange static feeds with peers that speak the wire protocol of hypercore 1, over TCP. The feeds that are named are fetched,
whether anything of them is here or not; without ID those of the store of which something is missing. Every feed of the store is
served to whoever asks for it. Each block is verified before it is stored. The protocol has no encryption.

With --connect it ends with status 0 when all of these feeds are here and the remote has what it asks for. It is a failure when
the remote leaves earlier, or has nothing that is missing for five seconds. With --listen any number of connections is served
until a signal comes, which is no failure; the first line is "listening" and the address. The store is held meanwhile.`,
		Example: indent(`
cairn static replicate --listen 127.0.0.1:4000
cairn static replicate --connect 127.0.0.1:4000 e1a31bb8716f0a0487377e22dbc7f0491fb47a712ac21519792a4e32cf56fb6f`),
		Args: arguments(0, 1<<20), ValidArgsFunction: a.completeStatic,
		RunE: func(cmd *cobra.Command, args []string) error {
			l.live = l.listen != ""
			return a.withStatic(cmd.Context(), acc, func(core *static.Core) error {
				r := &staticReplication{core: core}
				defer r.close()
				if err := r.open(args); err != nil {
					return err
				}
				r.host = wire.NewHost(core, &wire.Options{Logger: a.logger()})
				defer r.host.Close()
				err := l.run(cmd.Context(), a, r.serve(l.live))
				if err != nil || l.live {
					return err
				}
				return a.print(r.answer())
			})
		},
	}
	cmd.Flags().StringVar(&l.listen, "listen", "", "wait for connections at this `address`, HOST:PORT; port 0 is any")
	cmd.Flags().StringVar(&l.connect, "connect", "", "connect to this `address`, HOST:PORT")
	cmd.MarkFlagsMutuallyExclusive("listen", "connect")
	cmd.MarkFlagsOneRequired("listen", "connect")
	addSync(cmd, &acc.sync)
	return cmd
}

// staticReplication is static feeds that are exchanged.
type staticReplication struct {
	core  *static.Core
	host  *wire.Host
	feeds []*static.Feed // those that are to be complete
}

// open opens the feeds that are named, or else those that are not complete.
func (r *staticReplication) open(args []string) error {
	var ids []static.ID
	for _, arg := range args {
		id, err := static.ParseID(arg)
		if err != nil {
			info, err := findStatic(r.core, arg)
			if err != nil {
				return err
			}
			id = info.ID
		}
		ids = append(ids, id)
	}
	if len(args) == 0 {
		for i, err := range r.core.List() {
			if err != nil {
				return err
			}
			ids = append(ids, i.ID) // complete ones, too: the remote hears of them
		}
	}
	for _, id := range ids {
		f, err := r.core.Get(id)
		if err != nil {
			return err
		}
		r.feeds = append(r.feeds, f)
	}
	return nil
}

func (r *staticReplication) close() {
	for _, f := range r.feeds {
		_ = f.Close() // nothing is lost with a handle
	}
}

// serve returns what serves a connection: until it ends, or until everything is done.
func (r *staticReplication) serve(live bool) func(context.Context, net.Conn, bool) error {
	if live {
		return func(ctx context.Context, conn net.Conn, _ bool) error { return r.host.Serve(ctx, conn) }
	}
	return func(ctx context.Context, conn net.Conn, _ bool) error {
		s := r.host.Stream(conn)
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		err := r.watch(s, ended)
		s.Close()
		return err
	}
}

const (
	staticTick = 20 * time.Millisecond
	// staticGrace is how long a remote that shook hands has to say what it wants from us,
	// when we want nothing.
	staticGrace = time.Second
)

// watch waits until everything is done, or until it cannot be done.
func (r *staticReplication) watch(s *wire.Stream, ended <-chan error) error {
	ticker := time.NewTicker(staticTick)
	defer ticker.Stop()
	begun, idle := time.Now(), time.Now()
	wanted := r.missing() > 0
	for {
		select {
		case err := <-ended:
			if lacks := r.lacking(); err != nil || lacks != nil {
				return errors.Join(err, lacks)
			}
			return nil
		case <-ticker.C:
		}
		select {
		case <-s.Handshake():
		default:
			begun, idle = time.Now(), time.Now()
			continue
		}
		busy := false
		for _, f := range r.feeds {
			if id, _ := f.ID(); r.host.Uploading(id) || r.host.Lacking(id) {
				busy = true
				break
			}
		}
		missing := r.missing()
		switch {
		case busy:
			idle = time.Now()
		case missing == 0 && (wanted || time.Since(begun) >= staticGrace):
			s.Close()
			<-ended
			return nil
		case missing > 0 && time.Since(idle) >= stall:
			s.Close()
			<-ended
			return r.lacking()
		}
	}
}

// missing returns how many feeds are not complete.
func (r *staticReplication) missing() (n int) {
	for _, f := range r.feeds {
		if !f.Complete() {
			n++
		}
	}
	return n
}

// lacking returns an error when not everything that is wanted is here.
func (r *staticReplication) lacking() error {
	for _, f := range r.feeds {
		if f.Complete() {
			continue
		}
		id, _ := f.ID()
		n, _ := f.Downloaded()
		if f.Blocks() == 0 {
			return fmt.Errorf("%w: nothing of %v came", errLacking, id)
		}
		return fmt.Errorf("%w: %s of the %s of %v are here", errLacking, number(n), plural(f.Blocks(), "block"), id)
	}
	return nil
}

func (r *staticReplication) answer() staticReplicated {
	out := staticReplicated{Feeds: []staticInfo{}}
	for _, f := range r.feeds {
		id, _ := f.ID()
		n, bytes := f.Downloaded()
		out.Feeds = append(out.Feeds, staticInfo{ID: id, Blocks: f.Blocks(), Downloaded: n, Bytes: bytes, Complete: f.Complete(), Created: f.Created().UTC()})
	}
	return out
}

// staticReplicated is what a replication has done.
type staticReplicated struct {
	Feeds []staticInfo `json:"feeds"`
}

func (r staticReplicated) text(w io.Writer) {
	for _, f := range r.Feeds {
		fmt.Fprintf(w, "%s %s, %s\n", f.ID, plural(f.Blocks, "block"), plural(f.Bytes, "byte"))
	}
}
