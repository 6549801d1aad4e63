package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

func (a *app) keysCommands() *cobra.Command {
	keys := group("keys", "Save, take and seal secret keys", `
Save, take and seal secret keys. Whoever has the secret key of a feed can append to it, and the feed breaks when two copies
are appended to: peers refuse both histories.`, `
cairn keys export notes notes.key
cairn keys import @notes.key notes
cairn keys seal`)
	keys.AddCommand(a.keysExportCommand(), a.keysImportCommand(), a.keysSealCommand())
	return keys
}

func (a *app) keysExportCommand() *cobra.Command {
	return &cobra.Command{
		Use: "export FEED [FILE]", Short: "Write the secret key of a feed",
		Long: `Write the secret key of a feed in hex: to stdout, or to a new file that only its owner can read. It can be kept for the day
that the store is lost.`,
		Example: indent("cairn keys export notes notes.key"),
		Args:    arguments(1, 2), ValidArgsFunction: a.completeFeed,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(cmd.Context(), access{secrets: true}, func(s *engine.Store) error {
				info, err := s.Find(args[0])
				if err != nil {
					return err
				}
				sk, err := s.ExportSecret(info.DiscoveryKey)
				if err != nil {
					return err
				}
				if len(args) == 1 {
					return a.print(secretKey{info.Key, hex.EncodeToString(sk[:])})
				}
				if err := writeSecretFile(args[1], sk); err != nil {
					return err
				}
				return a.print(savedKey{info.Key, args[1]})
			})
		},
	}
}

// writeSecretFile writes a secret key to a file that must be new.
func writeSecretFile(name string, sk tree.SecretKey) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, hex.EncodeToString(sk[:]))
	return errors.Join(err, f.Sync(), f.Close())
}

func (a *app) keysImportCommand() *cobra.Command {
	acc := access{write: true, create: true, secrets: true}
	cmd := &cobra.Command{
		Use: "import SECRET [NAME]", Short: "Make a feed writable with its secret key",
		Long: `Make a feed of the store writable with its secret key, and add the feed when it is not there; prints its public key. SECRET
is hex: 64 bytes, or the 32 bytes of the seed. Better than SECRET itself, which others see in the list of processes, is @FILE,
also the file secret_key of hypercore 9, or - for stdin.

Another copy of the feed may be ahead of this one. Appends are refused until a peer has shown that none is, or until
"cairn feed append --force".`,
		Example: indent("cairn keys import @notes.key notes\ncairn keys import - < notes.key"),
		Args:    arguments(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := a.secretArgument(args[0])
			if err != nil {
				return err
			}
			sk, err := parseSecretKey(text)
			if err != nil {
				return &usageError{cmd, err}
			}
			name := ""
			if len(args) > 1 {
				name = args[1]
			}
			return a.withStore(cmd.Context(), acc, func(s *engine.Store) error {
				if _, err := addFeed(cmd, s, sk.Public(), name); err != nil {
					return err
				}
				if err := s.ImportSecret(cmd.Context(), sk); err != nil {
					return err
				}
				info, err := s.Info(sk.Public().DiscoveryKey())
				if err != nil {
					return err
				}
				if info.Guarded {
					a.note("another copy of the feed may be ahead: appends are refused until a peer has shown otherwise, or --force")
				}
				return a.print(keyAnswer{newFeedInfo(info)})
			})
		},
	}
	addSync(cmd, &acc.sync)
	return cmd
}

func (a *app) keysSealCommand() *cobra.Command {
	var next string
	cmd := &cobra.Command{
		Use: "seal", Short: "Seal the secret keys of the store with a passphrase",
		Long: `Seal the secret keys of the store with a passphrase, or with another one when they are sealed already. From then on feeds
can be read without it, and written only with it. Nothing brings back a passphrase that is forgotten.

The new passphrase is asked for at the terminal, unless --new-passphrase gives it or, in a store that is not sealed yet,
CAIRN_PASSPHRASE_FILE or --passphrase-fd do.`,
		Example: indent("cairn keys seal\ncairn keys seal --new-passphrase @passphrase.txt"),
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			sealed, err := a.isSealed(cmd)
			if err != nil {
				return err
			}
			passphrase, err := a.newPassphrase(cmd, next, sealed)
			if err != nil {
				return err
			}
			return a.withStore(cmd.Context(), access{write: true, secrets: sealed}, func(s *engine.Store) error {
				if err := s.SealSecrets(passphrase); err != nil {
					return err
				}
				return a.print(sealedAnswer{true})
			})
		},
	}
	cmd.Flags().StringVar(&next, "new-passphrase", "", "the new `passphrase`, @FILE or - for stdin")
	return cmd
}

// isSealed tells whether the store is sealed already.
func (a *app) isSealed(cmd *cobra.Command) (sealed bool, err error) {
	err = a.withStore(cmd.Context(), read, func(s *engine.Store) error {
		sealed = s.Sealed()
		return nil
	})
	return sealed, err
}

// newPassphrase returns what the store is to be sealed with.
func (a *app) newPassphrase(cmd *cobra.Command, next string, sealed bool) ([]byte, error) {
	if cmd.Flags().Changed("new-passphrase") {
		b, err := a.secretArgument(next)
		if err != nil {
			return nil, err
		}
		return checkPassphrase(b)
	}
	if !sealed {
		if b, err := a.givenPassphrase(); b != nil || err != nil {
			return b, err
		}
	}
	return a.askNewPassphrase(cmd.Context())
}

// secretKey is the secret key of a feed, as somebody asked for it.
type secretKey struct {
	Key       tree.PublicKey `json:"key"`
	SecretKey string         `json:"secretKey"`
}

func (k secretKey) text(w io.Writer) { fmt.Fprintln(w, k.SecretKey) }

// savedKey tells where a secret key was written.
type savedKey struct {
	Key  tree.PublicKey `json:"key"`
	File string         `json:"file"`
}

func (k savedKey) text(w io.Writer) {
	fmt.Fprintf(w, "wrote the secret key of %s to %s\n", k.Key, k.File)
}

// sealedAnswer tells that the secret keys are sealed.
type sealedAnswer struct {
	Sealed bool `json:"sealed"`
}

func (sealedAnswer) text(w io.Writer) { fmt.Fprintln(w, "the secret keys are sealed") }
