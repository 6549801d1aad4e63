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

	"github.com/cairn-feeds/cairn/dht"
)

func (a *app) dhtListenCommand(f *dhtFlags) *cobra.Command {
	var seed string
	var echo, pipe bool
	cmd := &cobra.Command{
		Use: "listen", Short: "Accept connections",
		Long: `Accept connections under the public key of a key pair, which is printed first: "listening KEY". It then prints the key of each
peer that connects.

With --echo everything that a peer sends is sent back; without, it is read and dropped. With --pipe the first connection is
joined with stdin and stdout, and the command ends when both directions have. Otherwise it ends with a signal.`,
		Example: indent("cairn dht listen --echo --seed @seed.hex\ncairn dht listen --pipe >file"),
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if echo && pipe {
				return &usageError{cmd, errors.New("--echo and --pipe exclude each other")}
			}
			key, err := a.keyPair(cmd, seed)
			if err != nil {
				return err
			}
			return f.withNode(cmd, func(ctx context.Context, n *dht.Node) error {
				s := n.CreateServer(nil)
				if err := s.Listen(ctx, &key); err != nil {
					return err
				}
				err := a.print(listening{key.Public.String()})
				switch {
				case err != nil:
				case pipe:
					err = a.pipeOne(ctx, s)
				default:
					err = a.serveDHT(ctx, s, echo)
				}
				return errors.Join(err, s.Close())
			})
		},
	}
	addSeed(cmd, &seed)
	cmd.Flags().BoolVar(&echo, "echo", false, "send back what peers send")
	cmd.Flags().BoolVar(&pipe, "pipe", false, "join the first connection with stdin and stdout")
	return cmd
}

// serveDHT accepts connections until a signal comes.
func (a *app) serveDHT(ctx context.Context, s *dht.Server, echo bool) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		c, err := s.AcceptConn(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if err := a.print(newConnected(c)); err != nil {
			c.Destroy()
			return err
		}
		conns.Go(func() {
			stop := context.AfterFunc(ctx, c.Destroy)
			defer stop()
			to := io.Discard
			if echo {
				to = c
			}
			_, err := io.Copy(to, c)
			if err == nil {
				err = hangUp(ctx, c)
			}
			if err != nil && ctx.Err() == nil {
				a.note("connection of %v: %v", c.RemotePublicKey(), err)
			}
			c.Destroy()
		})
	}
}

// pipeOne joins the first connection with stdin and stdout.
func (a *app) pipeOne(ctx context.Context, s *dht.Server) error {
	c, err := s.AcceptConn(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	return a.pipe(ctx, c)
}

func (a *app) dhtConnectCommand(f *dhtFlags) *cobra.Command {
	var seed string
	cmd := &cobra.Command{
		Use: "connect KEY", Short: "Connect to a server",
		Long:    `Connect to the server with a public key, send it what comes on stdin and print what it sends, until both directions have ended.`,
		Example: indent("echo hello | cairn dht connect d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737"),
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := dht.ParsePublicKey(args[0])
			if err != nil {
				return &usageError{cmd, err}
			}
			key, err := a.keyPair(cmd, seed)
			if err != nil {
				return err
			}
			return f.withNode(cmd, func(ctx context.Context, n *dht.Node) error {
				c, err := n.Connect(ctx, to, &dht.ConnectOptions{KeyPair: &key})
				if err != nil {
					return err
				}
				return a.pipe(ctx, c)
			})
		},
	}
	addSeed(cmd, &seed)
	return cmd
}

// pipe joins a connection with stdin and stdout, until both directions have ended.
func (a *app) pipe(ctx context.Context, c *dht.Conn) error {
	stop := context.AfterFunc(ctx, c.Destroy)
	defer stop()
	defer c.Destroy()
	sent := make(chan error, 1)
	go func() { // it waits for stdin, which nothing can interrupt
		_, err := io.Copy(c, a.stdin)
		if err == nil {
			err = c.CloseWrite()
		}
		sent <- err
	}()
	if _, err := io.Copy(a.stdout, c); err != nil {
		return pipeError(ctx, err)
	}
	select {
	case err := <-sent:
		if err != nil {
			return pipeError(ctx, err)
		}
	case <-c.Stream().Done():
		if err := c.Stream().Err(); err != nil {
			return pipeError(ctx, err)
		}
	}
	return pipeError(ctx, hangUp(ctx, c))
}

func pipeError(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// hangUp ends a connection whose other end has ended, and waits until that has everything.
func hangUp(ctx context.Context, c *dht.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := c.Flush(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	if err := c.Close(); err != nil {
		return err
	}
	select {
	case <-c.Stream().Done():
		return c.Stream().Err()
	case <-ctx.Done():
		return fmt.Errorf("ending the connection: %w", context.Cause(ctx))
	}
}

// connected is a peer that has connected.
type connected struct {
	Event           string `json:"event"`
	RemotePublicKey string `json:"remotePublicKey"`
}

func newConnected(c *dht.Conn) connected {
	return connected{"connection", c.RemotePublicKey().String()}
}

func (v connected) text(w io.Writer) { fmt.Fprintln(w, v.Event, v.RemotePublicKey) }
