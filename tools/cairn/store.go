package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine"
)

// access says what a command does with the store.
type access struct {
	write   bool              // otherwise the store is opened read-only
	create  bool              // make a store where there is none
	secrets bool              // secret keys are used or stored
	sync    engine.SyncPolicy // for writing
}

// read is the access of commands that change nothing.
var read = access{}

// withStore opens the store for the length of a call.
func (a *app) withStore(ctx context.Context, acc access, do func(*engine.Store) error) error {
	s, err := a.openStore(ctx, acc)
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Close())
}

// withFeed opens the feed that a person means.
func (a *app) withFeed(ctx context.Context, acc access, feed string, do func(*engine.Store, engine.Info, *engine.Feed) error) error {
	return a.withStore(ctx, acc, func(s *engine.Store) error {
		info, err := s.Find(feed)
		if err != nil {
			return err
		}
		f, err := s.Open(ctx, info.Key, &engine.FeedOptions{MustExist: true, Sparse: true})
		if err != nil {
			return err
		}
		return errors.Join(do(s, info, f), f.Close())
	})
}

// openStore opens the store and says what is odd about it.
func (a *app) openStore(ctx context.Context, acc access) (*engine.Store, error) {
	var passphrase []byte
	if acc.secrets {
		var err error
		if passphrase, err = a.givenPassphrase(); err != nil {
			return nil, err
		}
	}
	s, err := a.openWaiting(ctx, acc, passphrase)
	if err == nil && acc.secrets && passphrase == nil && s.Sealed() {
		s, err = a.reopenSealed(ctx, acc, s)
	}
	if err != nil {
		return nil, err
	}
	r := s.Recovery()
	if r.LostBytes > 0 {
		a.note("the store was not closed in order: %s at the end of its log could not be replayed and are kept in %v", size(uint64(r.LostBytes)), r.SetAside)
	}
	if r.Guarded > 0 {
		a.note("the store was not closed in order, and not every change was synced: appends to %s are refused unless forced", plural(uint64(r.Guarded), "feed"))
	}
	return s, nil
}

// reopenSealed opens the store again, with a passphrase that somebody types.
func (a *app) reopenSealed(ctx context.Context, acc access, sealed *engine.Store) (*engine.Store, error) {
	if err := sealed.Close(); err != nil {
		return nil, err
	}
	passphrase, err := a.askPassphrase(ctx, "Passphrase of "+a.store)
	if err != nil {
		return nil, err
	}
	return a.openWaiting(ctx, acc, passphrase)
}

// lockRetry is how often a store is tried that another process uses.
const lockRetry = 20 * time.Millisecond

// openWaiting opens the store, and waits for another process that uses it.
func (a *app) openWaiting(ctx context.Context, acc access, passphrase []byte) (*engine.Store, error) {
	o := &engine.Options{
		ReadOnly:   !acc.write,
		MustExist:  !acc.create,
		Sync:       acc.sync,
		Passphrase: passphrase,
		Logger:     a.logger(),
	}
	deadline := time.Now().Add(a.wait)
	for {
		s, err := engine.Open(a.store, o)
		if err == nil || !errors.Is(err, engine.ErrStoreLocked) || time.Now().After(deadline) {
			return s, err
		}
		select {
		case <-time.After(lockRetry):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// logger writes to stderr: errors, and with --verbose everything.
func (a *app) logger() *slog.Logger {
	level := slog.LevelError
	if a.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
}

// syncFlag is the flag --sync.
type syncFlag struct{ policy *engine.SyncPolicy }

func (f syncFlag) String() string {
	if f.policy == nil {
		return engine.SyncAlways.String()
	}
	return f.policy.String()
}

func (f syncFlag) Set(s string) (err error) {
	*f.policy, err = engine.ParseSyncPolicy(s)
	return err
}

func (f syncFlag) Type() string { return "policy" }

// addSync gives a command that writes the flag --sync.
func addSync(cmd *cobra.Command, policy *engine.SyncPolicy) {
	cmd.Flags().Var(syncFlag{policy}, "sync", "when changes are forced to disk: always, periodic or never")
	_ = cmd.RegisterFlagCompletionFunc("sync", cobra.FixedCompletions([]string{"always", "periodic", "never"}, cobra.ShellCompDirectiveNoFileComp)) // it exists
}

// completeFeed proposes the names of feeds for the first argument.
func (a *app) completeFeed(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var names []string
	_ = a.withStore(cmd.Context(), read, func(s *engine.Store) error { // without a store there is nothing to propose
		for info, err := range s.Feeds() {
			if err != nil {
				return err
			}
			if info.Name != "" {
				names = append(names, fmt.Sprintf("%s\t%s", info.Name, info.Key))
			}
		}
		return nil
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}
