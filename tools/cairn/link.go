package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/replicate/noise"
)

// link is how a command gets its connections: the flags --listen, --connect, --live and --plain.
type link struct {
	listen, connect string
	live, plain     bool
}

// addTo gives a command the flags.
func (l *link) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&l.listen, "listen", "", "wait for a connection at this `address`, HOST:PORT; port 0 is any")
	cmd.Flags().StringVar(&l.connect, "connect", "", "connect to this `address`, HOST:PORT")
	cmd.Flags().BoolVar(&l.live, "live", false, "stay connected; with --listen, serve any number of connections")
	cmd.Flags().BoolVar(&l.plain, "plain", false, "no handshake, no encryption, no proof that the remote knows the key; the remote must do the same")
	cmd.MarkFlagsMutuallyExclusive("listen", "connect")
	cmd.MarkFlagsOneRequired("listen", "connect")
}

func (l *link) mode() noise.Mode {
	if l.plain {
		return noise.Plain
	}
	return noise.Encrypted
}

// dialTimeout is how long a connection may take to come about.
const dialTimeout = 20 * time.Second

// run gets connections and calls serve for each, which closes it. Without --live it is one, whose error it returns. A signal is
// the end that listening and live commands are meant to have.
func (l *link) run(ctx context.Context, a *app, serve func(ctx context.Context, conn net.Conn, initiator bool) error) error {
	err := l.connected(ctx, a, serve)
	if ctx.Err() != nil && (l.live || l.listen != "") {
		return nil
	}
	return err
}

func (l *link) connected(ctx context.Context, a *app, serve func(context.Context, net.Conn, bool) error) error {
	if l.listen != "" {
		return l.serve(ctx, a, serve)
	}
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "tcp", l.connect)
	switch {
	case ctx.Err() != nil && err != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	}
	l.warn(a, conn.RemoteAddr())
	return serve(ctx, conn, true)
}

// serve listens.
func (l *link) serve(ctx context.Context, a *app, serve func(context.Context, net.Conn, bool) error) error {
	var c net.ListenConfig
	listener, err := c.Listen(ctx, "tcp", l.listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	l.warn(a, listener.Addr())
	if err := a.print(listening{listener.Addr().String()}); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	if !l.live {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		listener.Close() // whoever comes now learns at once that nobody will serve him
		return serve(ctx, conn, false)
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	for {
		conn, err := listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			a.note("%v", err) // such as too many open files: others end some time
			time.Sleep(acceptPause)
			continue
		}
		serving.Go(func() {
			remote := conn.RemoteAddr()
			if err := serve(ctx, conn, false); err != nil && ctx.Err() == nil {
				a.note("%v: %s", remote, explain(err))
			}
		})
	}
}

// acceptPause is how long a listener rests after a failure.
const acceptPause = 100 * time.Millisecond

// warn tells people that others can read and change what they send in plain.
func (l *link) warn(a *app, addr net.Addr) {
	if tcp, ok := addr.(*net.TCPAddr); l.plain && ok && !tcp.IP.IsLoopback() {
		a.note("%v is not on this machine: with --plain everybody on the way can read, and whoever connects gets the feed without knowing its key", addr)
	}
}

// listening is the address of a listener.
type listening struct {
	Listening string `json:"listening"`
}

func (l listening) text(w io.Writer) { fmt.Fprintln(w, "listening", l.Listening) }
