package replicate

import (
	"github.com/cairn-feeds/cairn/replicate/wire"
)

// handle applies one message of the remote. An error ends the session.
func (s *Session) handle(f wire.Frame, r *wire.Reader) error {
	d := &s.decode
	switch f.Type {
	case wire.TypeOpen:
		if err := d.open.Decode(f.Body); err != nil {
			return err
		}
		return s.onOpen(f.Channel, &d.open)
	case wire.TypeClose:
		if err := d.close.Decode(f.Body); err != nil {
			return err
		}
		s.onClose(f.Channel, &d.close)
		return nil
	default: // the others are not for here
	}
	if f.Channel == 0 {
		return s.handleOwn(f)
	}
	p := s.peerOf(f.Channel)
	if p == nil {
		return nil
	}
	if err := p.handle(f, r, d); err != nil {
		return &PeerError{Feed: p.dk, Type: f.Type, Err: err}
	}
	return nil
}

// peerOf returns the peer whose channel has a number of the remote's, nil when the
// channel is not open.
func (s *Session) peerOf(number uint64) *Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch := s.mu.channels.remote[number]; ch != nil && ch.open() {
		return ch.peer
	}
	return nil
}

// handleOwn applies a message on channel 0, that of the stream itself.
func (s *Session) handleOwn(f wire.Frame) error {
	d := &s.decode
	switch f.Type {
	case wire.TypeOptions:
		if err := d.options.Decode(f.Body); err != nil {
			return err
		}
		s.theirs = append([]string(nil), d.options.Extensions...)
	case wire.TypeExtension:
		if err := d.extension.Decode(f.Body); err != nil {
			return err
		}
		s.extensions.receive(s.theirs, &d.extension, s, nil)
	default: // the others are not for here
	}
	return nil
}

// handle applies a message on the peer's channel, open on both sides.
func (p *Peer) handle(f wire.Frame, r *wire.Reader, d *decoders) error {
	switch f.Type {
	case wire.TypeOptions:
		if err := d.options.Decode(f.Body); err != nil {
			return err
		}
		p.onOptions(&d.options)
	case wire.TypeStatus:
		if err := d.status.Decode(f.Body); err != nil {
			return err
		}
		p.onStatus(&d.status)
	case wire.TypeHave:
		if err := d.have.Decode(f.Body); err != nil {
			return err
		}
		return p.onHave(&d.have)
	case wire.TypeUnhave:
		if err := d.unhave.Decode(f.Body); err != nil {
			return err
		}
		p.onUnhave(&d.unhave)
	case wire.TypeWant:
		if err := d.want.Decode(f.Body); err != nil {
			return err
		}
		return p.onWant(&d.want)
	case wire.TypeRequest:
		if err := d.request.Decode(f.Body); err != nil {
			return err
		}
		return p.onRequest(&d.request)
	case wire.TypeCancel:
		if err := d.cancel.Decode(f.Body); err != nil {
			return err
		}
		p.onCancel(&d.cancel)
	case wire.TypeData:
		d.data.Proof.Nodes = d.freeNodes()
		if err := d.data.Decode(f.Body); err != nil {
			return err
		}
		return p.onData(f, r, d)
	case wire.TypeExtension:
		if err := d.extension.Decode(f.Body); err != nil {
			return err
		}
		p.onExtension(&d.extension)
	default: // the others are not for here
	}
	return nil
}
