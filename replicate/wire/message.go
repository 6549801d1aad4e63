package wire

// Message is a message of one of the known types. All are implemented by the
// pointer to a struct of the type's name.
type Message interface {
	// Type returns the type that says so in the message's frames.
	Type() Type

	// AppendFrame appends the message to dst as a frame on a channel, which
	// must not be over MaxChannel. It allocates only to make dst longer.
	//
	// Numbers over MaxNumber, and bodies over MaxBody, are written as they are:
	// no peer takes them, so whoever makes the message sees to it that there
	// are none.
	AppendFrame(dst []byte, channel uint64) []byte

	// Decode sets the message to what body says, with the defaults of absent
	// fields. Whatever it held before is gone, except that its slices of nodes
	// or names are used again; byte slices refer to body. The error is a
	// [*MessageError], and the message is then not to be used.
	Decode(body []byte) error
}

var (
	_ Message = (*Open)(nil)
	_ Message = (*Options)(nil)
	_ Message = (*Status)(nil)
	_ Message = (*Have)(nil)
	_ Message = (*Unhave)(nil)
	_ Message = (*Want)(nil)
	_ Message = (*Unwant)(nil)
	_ Message = (*Request)(nil)
	_ Message = (*Cancel)(nil)
	_ Message = (*Data)(nil)
	_ Message = (*Close)(nil)
	_ Message = (*Extension)(nil)
)

// Decode returns the message in f, which is new and refers to f's body. For an
// unknown type, of which f is to be ignored, it returns nil and no error. Where
// many messages arrive, calling Decode of one's own saves making new ones.
func Decode(f Frame) (Message, error) {
	m := newMessage(f.Type)
	if m == nil {
		return nil, nil
	}
	if err := m.Decode(f.Body); err != nil {
		return nil, err
	}
	return m, nil
}

// newMessage returns an empty message of type t, or nil if t is unknown.
func newMessage(t Type) Message {
	switch t {
	case TypeOpen:
		return new(Open)
	case TypeOptions:
		return new(Options)
	case TypeStatus:
		return new(Status)
	case TypeHave:
		return new(Have)
	case TypeUnhave:
		return new(Unhave)
	case TypeWant:
		return new(Want)
	case TypeUnwant:
		return new(Unwant)
	case TypeRequest:
		return new(Request)
	case TypeCancel:
		return new(Cancel)
	case TypeData:
		return new(Data)
	case TypeClose:
		return new(Close)
	case TypeExtension:
		return new(Extension)
	default:
		return nil
	}
}
