package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/codec/zbase32"
	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

func (a *app) feedNewCommand() *cobra.Command {
	var seed string
	acc := access{write: true, create: true, secrets: true}
	cmd := &cobra.Command{
		Use: "new [NAME]", Short: "Make a feed and print its public key",
		Long: `Make a feed that can be written here, and print its public key in hex. Where there is no store yet, it is made too.

The key pair is on disk before the key is printed. It is random unless --seed gives the 32 bytes that it is made from.`,
		Example: indent("cairn feed new\ncairn feed new notes\ncairn feed new notes --seed @seed.hex"),
		Args:    arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := &engine.CreateOptions{}
			if len(args) > 0 {
				o.Name = args[0]
			}
			if cmd.Flags().Changed("seed") {
				text, err := a.secretArgument(seed)
				if err != nil {
					return err
				}
				s, err := parseSeed(text)
				if err != nil {
					return &usageError{cmd, err}
				}
				o.Seed = &s
			}
			return a.withStore(cmd.Context(), acc, func(s *engine.Store) error {
				f, err := s.Create(cmd.Context(), o)
				if errors.Is(err, engine.ErrFeedExists) {
					return fmt.Errorf("the feed of this seed is in the store already: %w", err)
				}
				if err != nil {
					return err
				}
				info, err := s.Info(f.DiscoveryKey())
				if err := errors.Join(err, f.Close()); err != nil {
					return err
				}
				return a.print(keyAnswer{newFeedInfo(info)})
			})
		},
	}
	cmd.Flags().StringVar(&seed, "seed", "", "make the key pair from this `seed`, 64 hex digits, @FILE or - for stdin")
	addSync(cmd, &acc.sync)
	return cmd
}

func (a *app) feedAddCommand() *cobra.Command {
	acc := access{write: true, create: true}
	cmd := &cobra.Command{
		Use: "add KEY [NAME]", Short: "Add a feed of somebody else",
		Long: `Add a feed of somebody else, by its public key in hex or z-base32, and print the key in hex. The feed is empty until its
blocks are fetched or imported. Adding a feed that is there changes nothing.`,
		Example: indent("cairn feed add d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737 friend"),
		Args:    arguments(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := parseKey(args[0])
			if err != nil {
				return &usageError{cmd, err}
			}
			name := ""
			if len(args) > 1 {
				name = args[1]
			}
			return a.withStore(cmd.Context(), acc, func(s *engine.Store) error {
				info, err := addFeed(cmd, s, key, name)
				if err != nil {
					return err
				}
				return a.print(keyAnswer{newFeedInfo(info)})
			})
		},
	}
	addSync(cmd, &acc.sync)
	return cmd
}

// addFeed adds a feed under a name. When the name cannot be had, the feed is not added either.
func addFeed(cmd *cobra.Command, s *engine.Store, key tree.PublicKey, name string) (engine.Info, error) {
	ctx, dk := cmd.Context(), key.DiscoveryKey()
	there, err := s.Info(dk)
	switch {
	case err == nil && name != "" && name != there.Name:
		return there, fmt.Errorf("%w: it is called %q here; \"cairn feed rename\" changes that", engine.ErrFeedExists, there.Name)
	case err == nil:
		return there, nil
	case !errors.Is(err, engine.ErrNoFeed):
		return there, err
	}
	f, err := s.Open(ctx, key, &engine.FeedOptions{Sparse: true})
	if err != nil {
		return there, err
	}
	if err := f.Close(); err != nil {
		return there, err
	}
	if name != "" {
		if err := s.SetName(ctx, dk, name); err != nil {
			_, undo := s.Destroy(ctx, dk)
			return there, errors.Join(err, undo)
		}
	}
	return s.Info(dk)
}

// parseKey decodes a public key in hex or z-base32.
func parseKey(text string) (tree.PublicKey, error) {
	if key, err := tree.ParsePublicKeyHex(text); err == nil {
		return key, nil
	}
	key, err := zbase32.DecodeKey(text)
	if err != nil {
		return key, fmt.Errorf("%q is not a key: 32 bytes in hex, 64 digits, or in z-base32, 52 characters", text)
	}
	return key, nil
}

// keyAnswer is a feed of which people only want to see the key.
type keyAnswer struct{ feedInfo }

func (k keyAnswer) text(w io.Writer) { fmt.Fprintln(w, k.Key) }
