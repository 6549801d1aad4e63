package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

func (a *app) feedProofCommand() *cobra.Command {
	var digest uint64
	var hash bool
	cmd := &cobra.Command{
		Use: "proof FEED INDEX", Short: "Print the proof of a block",
		Long: `Print the proof of a block, as a peer would get it: the nodes of the tree that it needs to compute the roots from the
block, and the signature of the roots. A proof that ends at a node which the peer has needs no signature.`,
		Example: indent("cairn feed proof notes 3\ncairn feed proof notes 3 --digest 9 --json"),
		Args:    arguments(2, 2), ValidArgsFunction: a.completeFeed,
		RunE: func(cmd *cobra.Command, args []string) error {
			index, err := parseNumber(cmd, "INDEX", args[1])
			if err != nil {
				return err
			}
			return a.withFeed(cmd.Context(), read, args[0], func(_ *engine.Store, _ engine.Info, f *engine.Feed) error {
				p, err := f.Proof(index, digest, hash)
				if err != nil {
					return err
				}
				return a.print(newProof(index, p))
			})
		},
	}
	cmd.Flags().Uint64Var(&digest, "digest", 0, "what the peer has on the path of the block, as `bits`; 0 is nothing")
	cmd.Flags().BoolVar(&hash, "hash", false, "prove the hash of the block instead of its content")
	return cmd
}

// node is a node of the tree.
type node struct {
	Index uint64    `json:"index"`
	Hash  tree.Hash `json:"hash"`
	Size  uint64    `json:"size"` // bytes of the blocks below
}

func newNodes(nodes []tree.Node) []node {
	out := make([]node, len(nodes))
	for i, n := range nodes {
		out[i] = node{Index: uint64(n.Index), Hash: n.Hash, Size: n.Size}
	}
	return out
}

// nodeRows lays out nodes as a table.
func nodeRows(nodes []node) [][]string {
	rows := [][]string{{"NODE", "HASH", "BYTES"}}
	for _, n := range nodes {
		rows = append(rows, []string{number(n.Index), n.Hash.String(), number(n.Size)})
	}
	return rows
}

// proof is the proof of a block.
type proof struct {
	Index     uint64          `json:"index"`
	Nodes     []node          `json:"nodes"`
	Signature *tree.Signature `json:"signature"` // null when none is needed
}

func newProof(index uint64, p tree.Proof) proof {
	out := proof{Index: index, Nodes: newNodes(p.Nodes)}
	if p.HasSignature {
		out.Signature = &p.Signature
	}
	return out
}

func (p proof) text(w io.Writer) {
	table(w, nodeRows(p.Nodes))
	if p.Signature == nil {
		fmt.Fprintln(w, "no signature needed")
		return
	}
	fmt.Fprintf(w, "signature %v\n", p.Signature)
}
