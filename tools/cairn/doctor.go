package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/replicate"
	"github.com/cairn-feeds/cairn/replicate/noise"
	"github.com/cairn-feeds/cairn/replicate/wire"
	"github.com/cairn-feeds/cairn/tree"
)

// cause is why a feed does not sync. Its value is the exit status.
type cause int

const (
	causeNone     cause = 0
	causeNobody   cause = 10
	causeProtocol cause = 11
	causeNoFeed   cause = 12
	causeLacking  cause = 13
	causeRefused  cause = 14
	causeFork     cause = 15
	causeInvalid  cause = 16
)

// String returns the name that machines get.
func (c cause) String() string {
	switch c {
	case causeNone:
		return "none"
	case causeNobody:
		return "nobody-there"
	case causeProtocol:
		return "other-protocol"
	case causeNoFeed:
		return "no-feed"
	case causeLacking:
		return "lacks-blocks"
	case causeRefused:
		return "authentication-refused"
	case causeFork:
		return "fork"
	case causeInvalid:
		return "invalid-data"
	}
	return fmt.Sprintf("cause %d", int(c))
}

func (a *app) doctorCommand() *cobra.Command {
	var plain bool
	var patience time.Duration
	cmd := &cobra.Command{
		Use: "doctor FEED ADDR", Short: "Say why a feed does not sync with a peer",
		Long: `Connect to a peer, look at what it says about a feed, fetch a block or two that it has, and say what is in the way. Nothing
in the store changes. The exit status tells the cause, with --json its name does:

   0  none                    nothing is in the way
  10  nobody-there            no connection
  11  other-protocol          it speaks another protocol or version, or only one side uses --plain
  12  no-feed                 it does not have the feed, or does not show it to us
  13  lacks-blocks            it has the feed, but not the blocks that are missing here
  14  authentication-refused  it ended the connection when it knew our key
  15  fork                    the owner of the feed signed two different histories
  16  invalid-data            it sent what the owner of the feed did not sign

A feed that a peer refuses to us looks like one that it does not have.`,
		Example: indent("cairn doctor notes 192.0.2.7:4000"),
		Args:    arguments(2, 2), ValidArgsFunction: a.completeFeed,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, _, err := net.SplitHostPort(args[1]); err != nil {
				return &usageError{cmd, fmt.Errorf("ADDR: %w", err)}
			}
			return a.withFeed(cmd.Context(), read, args[0], func(_ *engine.Store, info engine.Info, f *engine.Feed) error {
				e := examination{feed: f, forked: info.Forked, addr: args[1], patience: patience}
				if plain {
					e.mode = noise.Plain
				}
				d, err := e.run(cmd.Context())
				if err != nil {
					return err
				}
				if err := a.print(d); err != nil || d.cause == causeNone {
					return err
				}
				return &statusError{status: int(d.cause)}
			})
		},
	}
	cmd.Flags().BoolVar(&plain, "plain", false, "speak without handshake and encryption")
	cmd.Flags().DurationVar(&patience, "timeout", 10*time.Second, "how long the peer may take for each answer")
	return cmd
}

// diagnosis is what the examination of a peer has found.
type diagnosis struct {
	Cause        string `json:"cause"`
	Text         string `json:"text"`
	Length       uint64 `json:"length"`       // of the feed here
	RemoteLength uint64 `json:"remoteLength"` // as far as the peer told

	cause cause
}

func (d diagnosis) text(w io.Writer) { fmt.Fprintln(w, d.Text) }

// examination looks at a peer with an empty copy of the feed in memory, so that the peer proves everything that it says from
// the beginning, and the store stays as it is.
type examination struct {
	feed     *engine.Feed // the one of the store
	forked   bool         // a fork was seen before
	addr     string
	mode     noise.Mode
	patience time.Duration

	copy    *engine.Feed
	session *replicate.Session
	peer    *replicate.Peer
	removed chan error    // why the peer went away
	news    chan struct{} // holds a token after something was heard about the feed
	others  chan struct{} // holds a token when the remote has opened another feed
}

// found makes the diagnosis.
func (e *examination) found(c cause, format string, args ...any) (diagnosis, error) {
	d := diagnosis{Cause: c.String(), Text: fmt.Sprintf(format, args...), Length: e.feed.Length(), cause: c}
	if e.peer != nil {
		d.RemoteLength = e.peer.RemoteLength()
	}
	return d, nil
}

// run examines the peer. An error is about this side.
func (e *examination) run(ctx context.Context) (diagnosis, error) {
	d := net.Dialer{Timeout: e.patience}
	conn, err := d.DialContext(ctx, "tcp", e.addr)
	if ctx.Err() != nil && err != nil {
		return diagnosis{}, context.Cause(ctx)
	}
	if err != nil {
		return e.found(causeNobody, "Nobody is there: %v.", err)
	}
	defer conn.Close()
	memory := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	e.copy, err = engine.OpenFiles(ctx, memory.Open, &engine.FilesOptions{Key: e.feed.Key(), FeedOptions: engine.FeedOptions{Sparse: true}})
	if err != nil {
		return diagnosis{}, err
	}
	defer e.copy.Close()
	e.removed, e.news, e.others = make(chan error, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	host := replicate.NewHost(nil, &replicate.Options{Live: true, Mode: e.mode, Timeout: e.patience, Events: replicate.Events{
		Session:      func(s *replicate.Session) { e.peer, _ = s.Add(e.copy, nil) }, // the session says why it ended
		DiscoveryKey: func(*replicate.Session, tree.DiscoveryKey) bool { notify(e.others); return false },
		PeerOpen:     func(*replicate.Peer) { notify(e.news) },
		PeerRemove:   func(_ *replicate.Peer, reason error) { e.removed <- reason },
		RemoteUpdate: func(*replicate.Peer) { notify(e.news) },
	}})
	defer host.Close()
	e.session = host.Start(ctx, conn, true)
	if d, ok, err := e.meet(ctx); ok || err != nil {
		return d, err
	}
	return e.look(ctx)
}

// notify leaves a token.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// meet waits until the peer has said what it has of the feed. If it does not, that is the diagnosis.
func (e *examination) meet(ctx context.Context) (d diagnosis, ok bool, err error) {
	end := time.NewTimer(e.patience)
	defer end.Stop()
	for {
		select {
		case <-e.news:
			if st := e.peer.State(); st.Open && st.Answered {
				return d, false, nil
			}
			continue
		case reason := <-e.removed:
			if errors.Is(reason, replicate.ErrRefused) || errors.Is(reason, replicate.ErrChannelClosed) {
				d, err = e.found(causeNoFeed, "The peer speaks our protocol, but does not have this feed, or does not show it to us.")
				return d, true, err
			}
			<-e.session.Done()
			d, err = e.ended(ctx)
		case <-e.session.Done():
			d, err = e.ended(ctx)
		case <-end.C:
			d, err = e.silent()
		}
		return d, true, err
	}
}

// shaken says whether the handshake is done.
func (e *examination) shaken() bool {
	select {
	case <-e.session.Ready():
		return true
	default:
		return false
	}
}

// openedOther says whether the remote has opened another feed.
func (e *examination) openedOther() bool { return len(e.others) > 0 }

// silent is the diagnosis of a peer that says nothing more.
func (e *examination) silent() (diagnosis, error) {
	switch {
	case !e.shaken() || e.mode == noise.Plain && !e.peer.State().Open && !e.openedOther():
		return e.found(causeProtocol, "Something listens there, but does not answer in our protocol.")
	case e.peer.State().Open && !e.peer.State().RemoteUploading:
		return e.found(causeLacking, "The peer has the feed open, but does not upload it.")
	case e.peer.State().Open:
		return e.found(causeLacking, "The peer has the feed open, but does not say what it has of it.")
	}
	return e.found(causeNoFeed, "The peer speaks our protocol, but does not answer about this feed.")
}

// ended is the diagnosis of a session that has ended before anything about the feed was said.
func (e *examination) ended(ctx context.Context) (diagnosis, error) {
	err := e.session.Wait()
	if ctx.Err() != nil {
		return diagnosis{}, context.Cause(ctx)
	}
	_, badMessage := errors.AsType[*wire.MessageError](err)
	switch {
	case !e.shaken():
		return e.found(causeProtocol, "Something listens there, but does not do the handshake: it speaks another protocol or version. (%s)", explainShort(err))
	case errors.Is(err, noise.ErrCapability):
		return e.found(causeProtocol, "The peer opened the feed without proving that it knows its key: it does not use the same protocol or version.")
	case badMessage, errors.Is(err, wire.ErrFrameSize), errors.Is(err, wire.ErrFrameVarint), errors.Is(err, replicate.ErrProtocol), errors.Is(err, replicate.ErrFlood):
		return e.found(causeProtocol, "What the peer sends is not our protocol: it speaks another one or another version. (%s)", explainShort(err))
	case errors.Is(err, replicate.ErrTimeout):
		return e.silent()
	case e.openedOther():
		return e.found(causeNoFeed, "The peer opened another feed and left: it does not want this one.")
	case e.mode == noise.Plain:
		return e.found(causeProtocol, "The peer ended the connection at once: perhaps it does not speak without encryption. (%s)", explainShort(err))
	}
	return e.found(causeRefused, "The peer did the handshake and then ended the connection: it refuses our key. (%s)", explainShort(err))
}

// explainShort is an error's text without the names of packages.
func explainShort(err error) string {
	if err == nil {
		return "it ended in order"
	}
	return packages.Replace(err.Error())
}

// looked is how many blocks from the first on are compared with what the peer has, one by one: what it tells about at once.
const looked = 1 << 20

// look compares what the peer has with what is here.
func (e *examination) look(ctx context.Context) (diagnosis, error) {
	if d, ok, err := e.compare(ctx); ok || err != nil {
		return d, err
	}
	if e.forked {
		return e.found(causeFork, "The owner of this feed signed two different histories: the store has the evidence. The peer has the same one as we.")
	}
	remote := e.peer.RemoteLength()
	length := max(e.feed.Length(), remote)
	if length == 0 {
		return e.found(causeLacking, "The peer has the feed, but no block of it.")
	}
	missing, lacking, available := uint64(0), uint64(0), uint64(0)
	var first uint64
	for i, err := e.feed.NextMissing(0); i < min(length, looked); i, err = e.feed.NextMissing(i + 1) {
		if err != nil {
			return diagnosis{}, err
		}
		missing++
		if e.peer.RemoteHas(i) {
			available = i
		} else if lacking++; lacking == 1 {
			first = i
		}
	}
	if missing > lacking {
		if d, ok, err := e.fetch(ctx, available); ok || err != nil {
			return d, err
		}
	}
	switch {
	case lacking > 0:
		return e.found(causeLacking, "The peer lacks %s of the %s that are missing here; the first is %d.", number(lacking), plural(missing, "block"), first)
	case missing == 0:
		return e.found(causeNone, "Nothing is in the way: everything is here. The feed has %s, of which the peer knows %s.", plural(length, "block"), number(remote))
	}
	return e.found(causeNone, "Nothing is in the way: the peer has %s that are missing here.", plural(missing, "block"))
}

// fetch gets a block into the copy, verified. If that does not succeed, that is the diagnosis.
func (e *examination) fetch(ctx context.Context, index uint64) (d diagnosis, ok bool, err error) {
	get, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	if _, err = e.copy.Get(get, index, &engine.GetOptions{IfAvailable: true}); err == nil {
		return d, false, nil
	}
	if ctx.Err() != nil {
		return d, false, context.Cause(ctx)
	}
	select {
	case <-e.session.Done():
		err = e.session.Wait()
	case <-time.After(e.patience / 10): // what ends the read comes a moment before what ends the session
	}
	_, bad := errors.AsType[*tree.ProofError](err)
	switch {
	case errors.Is(err, tree.ErrFork):
		d, err = e.found(causeFork, "The owner of this feed signed two different histories, and the peer has both.")
	case bad:
		d, err = e.found(causeInvalid, "The peer sends what the owner of the feed did not sign. (%s)", explainShort(err))
	default:
		d, err = e.found(causeLacking, "The peer says that it has block %d, but does not send it. (%s)", index, explainShort(err))
	}
	return d, true, err
}

// compare looks whether the peer has another history than we. The proof of the last block that both have holds, on the left
// of its path, hashes that cover everything before it.
func (e *examination) compare(ctx context.Context) (d diagnosis, ok bool, err error) {
	index, ours, found := e.common()
	if !found {
		return d, false, nil
	}
	if d, ok, err := e.fetch(ctx, index); ok || err != nil {
		return d, ok, err
	}
	theirs, err := e.copy.Proof(index, 0, true)
	if err != nil {
		return d, false, err
	}
	known := make(map[tree.Index]tree.Node, len(ours.Nodes))
	for _, n := range ours.Nodes {
		known[n.Index] = n
	}
	for _, n := range theirs.Nodes {
		if o, both := known[n.Index]; both && o.Hash != n.Hash {
			d, err = e.found(causeFork, "The owner of this feed signed two different histories: the peer has another one than we.")
			return d, true, err
		}
	}
	return d, false, nil
}

// triesCommon is how many blocks are looked at for one that both sides can prove.
const triesCommon = 1000

// common returns the last block that the peer has and that we can prove, with that proof.
func (e *examination) common() (index uint64, p tree.Proof, ok bool) {
	index = min(e.feed.Length(), e.peer.RemoteLength())
	for range triesCommon {
		if index == 0 {
			break
		}
		index--
		if !e.peer.RemoteHas(index) {
			continue
		}
		if p, err := e.feed.Proof(index, 0, true); err == nil {
			return index, p, true
		}
	}
	return 0, p, false
}
