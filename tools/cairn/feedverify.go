package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tools/internal/progress"
	"github.com/cairn-feeds/cairn/tree"
)

func (a *app) feedVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify FEED [INDEX SIGNATURE]", Short: "Verify signatures and root hashes",
		Long: `Verify every signature that is stored against the root hashes of the length that it covers, and that the newest one covers
the whole feed. With INDEX and SIGNATURE, verify that signature over the blocks up to and with INDEX. The exit status is 1
when something is not valid.

In a feed that is here in part, the roots of older signatures may not be known; they are counted as unverified.
"cairn feed audit" compares the blocks with their hashes, "cairn check" also what lies between blocks and roots.`,
		Example: indent("cairn feed verify notes\ncairn feed verify notes 5 @signature.hex --json"),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return &usageError{cmd, errors.New("INDEX needs a SIGNATURE")}
			}
			return arguments(1, 3)(cmd, args)
		},
		ValidArgsFunction: a.completeFeed,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 3 {
				return a.verifyOne(cmd, args)
			}
			return a.withFeed(cmd.Context(), read, args[0], func(_ *engine.Store, _ engine.Info, f *engine.Feed) error {
				bar := a.progress("verify", "blocks")
				defer bar.Clear()
				v, err := verifyStored(cmd.Context(), f, bar)
				if err != nil {
					return err
				}
				bar.Clear()
				return a.verdict(v, v.Valid)
			})
		},
	}
}

// verifyOne verifies a signature that was given.
func (a *app) verifyOne(cmd *cobra.Command, args []string) error {
	index, err := parseNumber(cmd, "INDEX", args[1])
	if err != nil {
		return err
	}
	text, err := a.secretArgument(args[2])
	if err != nil {
		return err
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return &usageError{cmd, errors.New("a signature is 64 bytes in hex: 128 digits")}
	}
	sig, err := tree.ParseSignature(b)
	if err != nil {
		return &usageError{cmd, err}
	}
	return a.withFeed(cmd.Context(), read, args[0], func(_ *engine.Store, _ engine.Info, f *engine.Feed) error {
		err := f.Verify(index, sig)
		if err != nil && !errors.Is(err, tree.ErrSignature) {
			return err
		}
		return a.verdict(verdict{Valid: err == nil, Index: index}, err == nil)
	})
}

// verdict prints an answer and fails unless it is good.
func (a *app) verdict(v answer, valid bool) error {
	if err := a.print(v); err != nil {
		return err
	}
	if !valid {
		return &statusError{status: statusFailure}
	}
	return nil
}

// verifyStored verifies all signatures of a feed.
func verifyStored(ctx context.Context, f *engine.Feed, bar *progress.Bar) (verification, error) {
	v := verification{Length: f.Length(), Invalid: []uint64{}, Roots: []node{}}
	signed := uint64(0) // blocks that the newest signature covers
	for signed < v.Length {
		if ctx.Err() != nil {
			return v, context.Cause(ctx)
		}
		covers, sig, err := f.Signature(signed)
		if errors.Is(err, tree.ErrNoSignature) {
			break
		}
		if err != nil {
			return v, err
		}
		v.Signatures++
		switch err := f.Verify(covers, sig); {
		case errors.Is(err, tree.ErrSignature):
			v.Invalid = append(v.Invalid, covers)
		case errors.Is(err, tree.ErrMissingRoots):
			v.Unverified++
		case err != nil:
			return v, err
		}
		signed = covers + 1
		bar.Set(signed, v.Length)
	}
	v.Signed = signed == v.Length
	v.Valid = v.Signed && len(v.Invalid) == 0
	if v.Length == 0 {
		return v, nil
	}
	roots, err := f.RootHashes(v.Length - 1)
	if err != nil {
		return v, err
	}
	v.Roots, v.TreeHash = newNodes(roots), tree.TreeHash(roots)
	return v, nil
}

// verification tells what is stored and what of it is valid.
type verification struct {
	Valid      bool      `json:"valid"`
	Signed     bool      `json:"signed"` // the newest signature covers the whole feed
	Length     uint64    `json:"length"`
	Signatures uint64    `json:"signatures"`
	Unverified uint64    `json:"unverified"` // signatures whose roots are not known here
	Invalid    []uint64  `json:"invalid"`    // last blocks that invalid signatures cover
	Roots      []node    `json:"roots"`
	TreeHash   tree.Hash `json:"treeHash"`
}

func (v verification) text(w io.Writer) {
	if v.Length == 0 {
		fmt.Fprintln(w, "the feed is empty: there is nothing to verify")
		return
	}
	fmt.Fprintf(w, "%s over %s: %s valid, %s invalid", plural(v.Signatures, "signature"), plural(v.Length, "block"),
		number(v.Signatures-v.Unverified-uint64(len(v.Invalid))), number(uint64(len(v.Invalid))))
	if v.Unverified > 0 {
		fmt.Fprintf(w, ", %s whose roots are not here", number(v.Unverified))
	}
	fmt.Fprintln(w)
	for _, index := range v.Invalid {
		fmt.Fprintf(w, "the signature over the blocks up to %s is not valid\n", number(index))
	}
	if !v.Signed {
		fmt.Fprintln(w, "no signature covers the whole feed")
	}
	fmt.Fprintf(w, "tree hash %v\n", v.TreeHash)
	table(w, nodeRows(v.Roots))
}

// verdict is about one signature.
type verdict struct {
	Valid bool   `json:"valid"`
	Index uint64 `json:"index"`
}

func (v verdict) text(w io.Writer) {
	if v.Valid {
		fmt.Fprintf(w, "valid: signed by the owner of the feed, over the blocks up to %s\n", number(v.Index))
	} else {
		fmt.Fprintf(w, "not valid for the blocks up to %s\n", number(v.Index))
	}
}
