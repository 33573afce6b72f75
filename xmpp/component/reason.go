package component

// Reason names one way in which a stanza is refused or lost. The strings are metric labels.
type Reason uint8

// The reasons.
const (
	NotRefused Reason = iota

	// Inbound, and the handler sees the head (Stanza.Refused).

	StanzaTooBig      // above MaxStanza bytes
	TooDeep           // above MaxDepth levels
	TooManyElements   // above MaxElements elements
	TooManyAttributes // an element with more than MaxAttributes attributes
	AttributeTooBig   // an attribute above MaxAttribute bytes
	RestrictedXML     // a comment or processing instruction, RFC 6120 §11.1
	Malformed         // not XML: bad character, undefined entity, mismatched tags

	// Inbound, and dropped.

	UnknownElement  // neither iq, message nor presence
	StrayAnswer     // iq result or error that no Request waits for
	NobodyListens   // no Handler, or the link is closing
	HandlerPanicked // the handler saw it and panicked

	// Outbound.

	OutTooBig // Send returned ErrTooBig
	OutFull   // Send returned ErrFull; no loss if the caller tries again
	OutDown   // Send returned ErrDown; likewise
	OutLost   // queued, and not yet written when the link died

	numReasons
)

var reasonNames = [numReasons]string{
	NotRefused: "none", StanzaTooBig: "stanza-too-big", TooDeep: "too-deep", TooManyElements: "too-many-elements",
	TooManyAttributes: "too-many-attributes", AttributeTooBig: "attribute-too-big", RestrictedXML: "restricted-xml",
	Malformed: "malformed", UnknownElement: "unknown-element", StrayAnswer: "stray-answer",
	NobodyListens: "nobody-listens", HandlerPanicked: "handler-panicked", OutTooBig: "out-too-big", OutFull: "out-full",
	OutDown: "out-down", OutLost: "out-lost",
}

func (r Reason) String() string {
	if r < numReasons {
		return reasonNames[r]
	}
	return "unknown"
}
