package dht

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	crand "crypto/rand"

	"github.com/cairn-feeds/cairn/dht/internal/messages"
	"github.com/cairn-feeds/cairn/dht/internal/protomux"
)

const (
	relayProtocol = "blind-relay"
	relayTimeout  = 15 * time.Second

	// Types of messages in the channel of a relay.
	relayPair = 0
)

// chooseRelay chooses a blind relay, and makes the token by which it knows the two
// sides. It returns nil if there is none.
func chooseRelay(relays []PublicKey) *messages.RelayThroughInfo {
	if len(relays) == 0 {
		return nil
	}
	r := &messages.RelayThroughInfo{PublicKey: relays[rand.IntN(len(relays))]}
	crand.Read(r.Token[:]) // never fails
	return r
}

// relayThrough connects a link through a blind relay, unless there is another way by
// then. It returns when that is done; the connection to the relay lives as long as
// it is needed.
func (n *Node) relayThrough(ctx context.Context, l *link, relay *messages.RelayThroughInfo, initiator bool) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, relayTimeout, ErrRelayAborted)
	defer cancel()
	conn, err := n.Connect(ctx, relay.PublicKey, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRelayAborted, err)
	}
	defer func() {
		if err != nil {
			conn.Destroy()
		}
	}()
	stop := context.AfterFunc(ctx, conn.Destroy)
	id, err := pair(conn, messages.Pair{Initiator: initiator, Token: relay.Token, ID: l.stream.ID()})
	if !stop() || err != nil {
		return fmt.Errorf("%w: %w", ErrRelayAborted, err)
	}
	if !l.through(conn, id) {
		return errors.New("dht: relay is not needed")
	}
	if !n.spawn(func() {
		// Nothing comes any more, but keep-alives must be read.
		defer conn.Destroy()
		over := make(chan struct{})
		stopReading := context.AfterFunc(n.ctx, conn.Destroy)
		defer stopReading()
		n.spawn(func() {
			defer close(over)
			for {
				if _, err := conn.ReadMessage(); err != nil {
					return
				}
			}
		})
		select {
		case <-l.stream.Done():
		case <-over:
		}
	}) {
		return ErrClosed
	}
	return nil
}

// pair asks a relay to join our stream with that of whoever shows the same token. It
// returns what the relay calls its stream.
func pair(conn *Conn, p messages.Pair) (uint32, error) {
	own := conn.PublicKey()
	if err := conn.WriteMessage(protomux.AppendOpen(nil, 1, relayProtocol, own[:], nil)); err != nil {
		return 0, err
	}
	if err := conn.WriteMessage(p.Append(protomux.AppendMessage(nil, 1, relayPair))); err != nil {
		return 0, err
	}
	var channel uint64 // the relay's number of it
	for {
		b, err := conn.ReadMessage()
		if err != nil {
			return 0, err
		}
		for f, err := range protomux.Frames(b) {
			switch {
			case err != nil:
				return 0, err
			case f.Kind == protomux.Open && f.Protocol == relayProtocol && string(f.ID) == string(own[:]):
				channel = f.Channel
			case f.Kind == protomux.Reject, f.Kind == protomux.Close && f.Channel == channel:
				return 0, errors.New("channel refused")
			case f.Kind == protomux.Message && f.Channel == channel && channel != 0 && f.Type == relayPair:
				m, err := messages.ParsePair(f.Body)
				if err != nil {
					return 0, err
				}
				if m.Token == p.Token && m.Initiator == p.Initiator {
					return m.ID, nil
				}
			}
		}
	}
}
