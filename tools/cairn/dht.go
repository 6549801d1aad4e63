package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/dht"
	"github.com/cairn-feeds/cairn/dht/rpc"
)

func (a *app) dhtCommands() *cobra.Command {
	cmd := group("dht", "Find peers, keep records and connect, over the DHT of hyperdht 6", `
Take part in a DHT that speaks the protocol of hyperdht 6: the public one, or with --bootstrap one of your own.

TOPIC is 32 bytes in hex, 64 digits; any other text stands for its BLAKE2b-256 hash. KEY is a public key in hex or z-base32.`, `
cairn dht lookup 'a topic'
cairn dht put 'hello'
cairn dht listen --echo
cairn dht bootstrap --host 127.0.0.1 --port 49737
cairn dht node --persistent --bootstrap 127.0.0.1:49737`)
	f := &dhtFlags{app: a}
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.bootstrap, "bootstrap", "", "nodes to start from, `HOST:PORT[,...]`, instead of the public ones; empty: none")
	flags.StringVar(&f.host, "host", "", "IPv4 `address` to bind to")
	flags.Uint16Var(&f.port, "port", 0, "UDP `port` to bind to, 0 for any")
	cmd.AddCommand(
		a.dhtBootstrapCommand(f), a.dhtNodeCommand(f), a.dhtPingCommand(f),
		a.dhtLookupCommand(f), a.dhtAnnounceCommand(f), a.dhtUnannounceCommand(f),
		a.dhtPutCommand(f), a.dhtGetCommand(f), a.dhtMputCommand(f), a.dhtMgetCommand(f),
		a.dhtListenCommand(f), a.dhtConnectCommand(f),
	)
	return cmd
}

// dhtFlags are the flags of all dht commands.
type dhtFlags struct {
	app       *app
	bootstrap string
	host      string
	port      uint16
}

// options returns what the flags say.
func (f *dhtFlags) options(cmd *cobra.Command) (o dht.Options, err error) {
	if cmd.Flags().Changed("bootstrap") {
		o.RPC.Bootstrap = []string{} // and so not the public ones
		for _, node := range strings.Split(f.bootstrap, ",") {
			if node = strings.TrimSpace(node); node != "" {
				o.RPC.Bootstrap = append(o.RPC.Bootstrap, node)
			}
		}
	}
	if f.host != "" {
		o.RPC.Host, err = netip.ParseAddr(f.host)
		if err != nil || !o.RPC.Host.Is4() {
			return o, &usageError{cmd, fmt.Errorf("--host %q is not an IPv4 address", f.host)}
		}
	}
	o.RPC.Port, o.RPC.FixedPort = f.port, f.port != 0
	if f.app.verbose {
		o.RPC.Logger = slog.New(slog.NewTextHandler(f.app.stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return o, nil
}

// withNode has a node for the length of a call, which does not stay in the network.
func (f *dhtFlags) withNode(cmd *cobra.Command, do func(context.Context, *dht.Node) error) error {
	o, err := f.options(cmd)
	if err != nil {
		return err
	}
	o.RPC.Mode = rpc.Ephemeral
	n, err := dht.New(&o)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	if err := n.Ready(ctx); err != nil {
		return errors.Join(err, n.Destroy())
	}
	return errors.Join(do(ctx, n), n.Destroy())
}

// parseTopic decodes a topic.
func parseTopic(text string) [32]byte {
	if b, err := hex.DecodeString(text); err == nil && len(b) == 32 {
		return [32]byte(b)
	}
	return dht.Hash([]byte(text))
}

// keyPair returns the key pair of a seed that was given on the command line, and a random one if none was.
func (a *app) keyPair(cmd *cobra.Command, seed string) (dht.KeyPair, error) {
	if !cmd.Flags().Changed("seed") {
		return dht.NewKeyPair(), nil
	}
	text, err := a.secretArgument(seed)
	if err != nil {
		return dht.KeyPair{}, err
	}
	s, err := parseSeed(text)
	if err != nil {
		return dht.KeyPair{}, &usageError{cmd, err}
	}
	return dht.KeyPairFromSeed(s), nil
}

// addSeed adds the flag that keyPair reads.
func addSeed(cmd *cobra.Command, seed *string) {
	cmd.Flags().StringVar(seed, "seed", "", "make the key pair from this `seed`, 64 hex digits, @FILE or - for stdin")
}

// bytesAnswer is bytes in JSON: text where they are UTF-8, otherwise base64.
type bytesAnswer struct {
	Text   *string `json:"value,omitempty"`
	Base64 []byte  `json:"base64,omitempty"`
}

func newBytesAnswer(b []byte) bytesAnswer {
	if text := string(b); utf8.ValidString(text) {
		return bytesAnswer{Text: &text}
	}
	return bytesAnswer{Base64: b}
}
