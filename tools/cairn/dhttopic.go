package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/dht"
)

func (a *app) dhtLookupCommand(f *dhtFlags) *cobra.Command {
	return &cobra.Command{
		Use: "lookup TOPIC", Short: "Print the public keys of the peers of a topic",
		Long:    `Look up the peers that were announced under a topic, and print the public key of each in hex, a line each.`,
		Example: indent("cairn dht lookup 'a topic'\ncairn dht lookup 'a topic' --json"),
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.withNode(cmd, func(ctx context.Context, n *dht.Node) error {
				seen := make(map[dht.PublicKey]bool)
				for r, err := range n.Lookup(ctx, parseTopic(args[0]), nil) {
					if err != nil {
						return err
					}
					for _, p := range r.Peers {
						if seen[p.PublicKey] {
							continue
						}
						seen[p.PublicKey] = true
						if err := a.print(newPeerAnswer(p)); err != nil {
							return err
						}
					}
				}
				return nil
			})
		},
	}
}

// peerAnswer is a peer that was found.
type peerAnswer struct {
	PublicKey string   `json:"publicKey"`
	Nodes     []string `json:"nodes"` // that pass messages on to it
}

func newPeerAnswer(p dht.Peer) peerAnswer {
	a := peerAnswer{PublicKey: p.PublicKey.String(), Nodes: []string{}}
	for _, n := range p.Nodes {
		a.Nodes = append(a.Nodes, n.String())
	}
	return a
}

func (p peerAnswer) text(w io.Writer) { fmt.Fprintln(w, p.PublicKey) }

func (a *app) dhtAnnounceCommand(f *dhtFlags) *cobra.Command {
	var seed string
	cmd := &cobra.Command{
		Use: "announce TOPIC", Short: "Announce a key under a topic, once",
		Long: `Announce the public key of a key pair under a topic, and print it in hex. Nodes forget that after 20 minutes. Peers that
look up the topic expect a server with that key, such as "cairn dht listen" with the same --seed.`,
		Example: indent("cairn dht announce 'a topic' --seed @seed.hex"),
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := a.keyPair(cmd, seed)
			if err != nil {
				return err
			}
			return f.withNode(cmd, func(ctx context.Context, n *dht.Node) error {
				topic := parseTopic(args[0])
				for _, err := range n.Announce(ctx, topic, key, nil) {
					if err != nil {
						return err
					}
				}
				return a.print(announced{key.Public.String(), hex.EncodeToString(topic[:])})
			})
		},
	}
	addSeed(cmd, &seed)
	return cmd
}

// announced is a key that was announced, or taken back.
type announced struct {
	PublicKey string `json:"publicKey"`
	Topic     string `json:"topic"`
}

func (v announced) text(w io.Writer) { fmt.Fprintln(w, v.PublicKey) }

func (a *app) dhtUnannounceCommand(f *dhtFlags) *cobra.Command {
	var seed string
	cmd := &cobra.Command{
		Use: "unannounce TOPIC --seed SEED", Short: "Take back an announcement",
		Long:    `Take back what "cairn dht announce" announced with the same seed, and print the public key.`,
		Example: indent("cairn dht unannounce 'a topic' --seed @seed.hex"),
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if seed == "" {
				return &usageError{cmd, errors.New("--seed is missing")}
			}
			key, err := a.keyPair(cmd, seed)
			if err != nil {
				return err
			}
			return f.withNode(cmd, func(ctx context.Context, n *dht.Node) error {
				topic := parseTopic(args[0])
				if err := n.Unannounce(ctx, topic, key, nil); err != nil {
					return err
				}
				return a.print(announced{key.Public.String(), hex.EncodeToString(topic[:])})
			})
		},
	}
	addSeed(cmd, &seed)
	return cmd
}
