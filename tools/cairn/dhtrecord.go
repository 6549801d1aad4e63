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

// valueArgument returns a value that was given as it is, or as - for stdin.
func (a *app) valueArgument(arg string) ([]byte, error) {
	if arg != "-" {
		return []byte(arg), nil
	}
	b, err := io.ReadAll(io.LimitReader(a.stdin, dht.MaxImmutable+1))
	if err == nil && len(b) > dht.MaxImmutable {
		err = fmt.Errorf("%w: more than %d bytes", dht.ErrValueTooLarge, dht.MaxImmutable)
	}
	return b, err
}

func (a *app) dhtPutCommand(f *dhtFlags) *cobra.Command {
	return &cobra.Command{
		Use: "put VALUE", Short: "Store a value under its hash",
		Long: fmt.Sprintf(`Store a value, or with - what is on stdin, of at most %d bytes under its hash, and print that. Nodes forget it after 48 hours.`,
			dht.MaxImmutable),
		Example: indent("cairn dht put hello\ncairn dht put - <file"),
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			value, err := a.valueArgument(args[0])
			if err != nil {
				return err
			}
			return f.withNode(cmd, func(ctx context.Context, n *dht.Node) error {
				put, err := n.PutImmutable(ctx, value, nil)
				if err != nil {
					return err
				}
				return a.print(putAnswer{hex.EncodeToString(put.Hash[:]), len(put.ClosestNodes)})
			})
		},
	}
}

// putAnswer is a value that was stored.
type putAnswer struct {
	Hash  string `json:"hash"`
	Nodes int    `json:"nodes"` // that were asked to store it
}

func (p putAnswer) text(w io.Writer) { fmt.Fprintln(w, p.Hash) }

func (a *app) dhtGetCommand(f *dhtFlags) *cobra.Command {
	return &cobra.Command{
		Use: "get HASH", Short: "Print the value with a hash",
		Long:    `Print the value with a hash, and nothing else. The status is 1 if nobody has it.`,
		Example: indent("cairn dht get 324dcf027dd4a30a932c441f365a25e86b173defa4b8e58948253471b81b72cf"),
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			hash, err := hex.DecodeString(args[0])
			if err != nil || len(hash) != 32 {
				return &usageError{cmd, fmt.Errorf("%q is not a hash: 32 bytes in hex, 64 digits", args[0])}
			}
			return f.withNode(cmd, func(ctx context.Context, n *dht.Node) error {
				r, err := n.GetImmutable(ctx, [32]byte(hash), nil)
				if err != nil {
					return err
				}
				return a.print(getAnswer{args[0], newBytesAnswer(r.Value), r.Value})
			})
		},
	}
}

// getAnswer is a value that was found.
type getAnswer struct {
	Hash string `json:"hash"`
	bytesAnswer
	value []byte
}

func (g getAnswer) text(w io.Writer) { _, _ = w.Write(g.value) }

func (a *app) dhtMputCommand(f *dhtFlags) *cobra.Command {
	var seed string
	var seq uint64
	cmd := &cobra.Command{
		Use: "mput VALUE --seed SEED", Short: "Store a value under a public key",
		Long: fmt.Sprintf(`Store a value, or with - what is on stdin, of at most %d bytes under the public key of a seed, and print the key. It replaces
a value with a lower --seq; with another one, or with another value of the same, it is refused with status 1.`, dht.MaxMutable),
		Example: indent("cairn dht mput hello --seed @seed.hex\ncairn dht mput 'hello again' --seed @seed.hex --seq 1"),
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if seed == "" {
				return &usageError{cmd, errors.New("--seed is missing")}
			}
			if seed == "-" && args[0] == "-" {
				return &usageError{cmd, errors.New("stdin cannot be the value and the seed")}
			}
			key, err := a.keyPair(cmd, seed)
			if err != nil {
				return err
			}
			value, err := a.valueArgument(args[0])
			if err != nil {
				return err
			}
			return f.withNode(cmd, func(ctx context.Context, n *dht.Node) error {
				put, err := n.PutMutable(ctx, key, seq, value, nil)
				if err != nil {
					return err
				}
				return a.print(mputAnswer{put.PublicKey.String(), put.Seq, len(put.ClosestNodes)})
			})
		},
	}
	addSeed(cmd, &seed)
	cmd.Flags().Uint64Var(&seq, "seq", 0, "the value's `number`; the highest one counts")
	return cmd
}

// mputAnswer is a mutable value that was stored.
type mputAnswer struct {
	Key   string `json:"key"`
	Seq   uint64 `json:"seq"`
	Nodes int    `json:"nodes"` // that were asked to store it
}

func (p mputAnswer) text(w io.Writer) { fmt.Fprintln(w, p.Key) }

func (a *app) dhtMgetCommand(f *dhtFlags) *cobra.Command {
	var latest bool
	var seq uint64
	cmd := &cobra.Command{
		Use: "mget KEY", Short: "Print the value under a public key",
		Long: `Print the value under a public key, and nothing else. The status is 1 if nobody has one. The first value that is found is as
good as any, unless --latest waits for all nodes to find the one with the highest seq.`,
		Example: indent("cairn dht mget d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737 --latest"),
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := dht.ParsePublicKey(args[0])
			if err != nil {
				return &usageError{cmd, err}
			}
			return f.withNode(cmd, func(ctx context.Context, n *dht.Node) error {
				r, err := n.GetMutable(ctx, key, &dht.MutableGetOptions{Seq: seq, First: !latest})
				if err != nil {
					return err
				}
				return a.print(mgetAnswer{key.String(), r.Seq, newBytesAnswer(r.Value), r.Value})
			})
		},
	}
	cmd.Flags().BoolVar(&latest, "latest", false, "find the one with the highest seq")
	cmd.Flags().Uint64Var(&seq, "seq", 0, "the lowest `seq` of interest")
	return cmd
}

// mgetAnswer is a mutable value that was found.
type mgetAnswer struct {
	Key string `json:"key"`
	Seq uint64 `json:"seq"`
	bytesAnswer
	value []byte
}

func (g mgetAnswer) text(w io.Writer) { _, _ = w.Write(g.value) }
