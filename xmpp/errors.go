package xmpp

import (
	"errors"
	"log/slog"

	"mellium.im/xmpp/pubsub"
	"mellium.im/xmpp/stanza"

	"waft/broker"
	"waft/xmpp/component"
)

// stanzaError is an error as it goes out (RFC 6120 §8.3): condition first, then the text, then the condition of
// XEP-0060 if there is one.
type stanzaError struct {
	typ       stanza.ErrorType
	condition stanza.Condition
	app       pubsub.Condition // CondNone: there is none
	feature   string           // of CondUnsupported
	other     string           // a condition of XEP-0060 that mellium has no name for; app is CondNone then
	space     string           // of other; "": that of XEP-0060's conditions
	text      string
	payload   []byte // what stands before the error; nil for most
}

func (e *stanzaError) Error() string { return e.text }

// saying is the error with another text.
func (e *stanzaError) saying(text string) *stanzaError {
	other := *e
	other.text = text
	return &other
}

// The errors of XEP-0060 and around it, as the chapters say that cause them. Those of the broker's kinds are below.
var (
	// The request itself.
	errIQType         = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, text: "an iq is of type get or set"}
	errIQPayload      = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, text: "an iq of type get or set has exactly one child element"}
	errWrongType      = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, text: "this request is made with the other of the iq types get and set"}
	errUnknownRequest = &stanzaError{typ: stanza.Cancel, condition: stanza.ServiceUnavailable, text: "the service does not know this request"}
	errNobodyThere    = &stanzaError{typ: stanza.Cancel, condition: stanza.ServiceUnavailable, text: "nobody is at this address; ask the service itself"}
	errNoVerb         = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, text: "the pubsub element is empty"}
	errTwoVerbs       = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, text: "one iq asks for one thing"}
	errUnknownVerb    = &stanzaError{typ: stanza.Cancel, condition: stanza.FeatureNotImplemented, text: "the service does not know this part of publish-subscribe"}
	errNotAChat       = &stanzaError{typ: stanza.Cancel, condition: stanza.ServiceUnavailable, text: "this is a publish-subscribe service; nobody reads messages here"}

	// Nodes.
	errNodeRequired = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, app: pubsub.CondNodeIDRequired, text: "the node is missing"}
	errNoNode       = &stanzaError{typ: stanza.Cancel, condition: stanza.ItemNotFound, text: "there is no such node"}
	errClosedNode   = &stanzaError{typ: stanza.Cancel, condition: stanza.NotAllowed, app: pubsub.CondClosedNode, text: "the node is not open to you"}

	errOutcast = &stanzaError{typ: stanza.Auth, condition: stanza.Forbidden, text: "the node is closed to you"}

	// Owning nodes, §8.
	errNodeName          = &stanzaError{typ: stanza.Modify, condition: stanza.NotAcceptable, text: "no node can have this name"}
	errNodeTwice         = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, text: "the node is named by the create element alone"}
	errNodeExists        = &stanzaError{typ: stanza.Cancel, condition: stanza.Conflict, text: "the node exists"}
	errInUse             = &stanzaError{typ: stanza.Cancel, condition: stanza.Conflict, text: "others use the channel; only who may manage it can make it his node"}
	errNotCreator        = &stanzaError{typ: stanza.Auth, condition: stanza.Forbidden, text: "only users with a JID of RFC 7622 can have nodes"}
	errTooManyNodes      = &stanzaError{typ: stanza.Wait, condition: stanza.PolicyViolation, app: pubsub.CondMaxNodesExceeded, text: "you have created as many nodes as anybody may"}
	errTooManyNodesInAll = &stanzaError{typ: stanza.Wait, condition: stanza.ResourceConstraint, app: pubsub.CondMaxNodesExceeded, text: "the service has as many nodes as it can have"}
	errNotOwner          = &stanzaError{typ: stanza.Auth, condition: stanza.Forbidden, text: "only an owner of the node may do this"}
	errBadSetting        = &stanzaError{typ: stanza.Modify, condition: stanza.NotAcceptable, text: "the configuration is not acceptable"}
	errAccessModel       = &stanzaError{typ: stanza.Modify, condition: stanza.NotAcceptable, app: pubsub.CondUnsupportedAccessModel, text: "the access model is not supported"}
	errNoForm            = &stanzaError{typ: stanza.Modify, condition: stanza.NotAcceptable, text: "there is no form with the configuration"}
	errNoRequest         = &stanzaError{typ: stanza.Cancel, condition: stanza.ItemNotFound, text: "there is no such request to subscribe, or it has been answered"}
	errNoDecision        = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, text: "the form must say pubsub#node, pubsub#subscriber_jid and, as a boolean, pubsub#allow"}
	errRedirect          = &stanzaError{typ: stanza.Cancel, condition: stanza.FeatureNotImplemented, text: "a deleted node cannot refer to another"}
	errListEntry         = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, text: "the list is empty, or something in it has no place there"}
	errListTwice         = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, text: "the list has a JID twice"}
	errListPart          = &stanzaError{typ: stanza.Modify, condition: stanza.NotAcceptable, text: "these entries could not be set and are as before; the others have been set"}

	// Publishing, §7.1.3 and §12.11.
	errItemRequired    = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, app: pubsub.CondItemRequired, text: "there is no item to publish"}
	errPayloadRequired = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, app: pubsub.CondPayloadRequired, text: "an item needs a payload: <json xmlns='urn:xmpp:json:0'>"}
	errInvalidPayload  = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, app: pubsub.CondInvalidPayload, text: "an item has one payload, <json xmlns='urn:xmpp:json:0'>, with nothing but JSON in it"}
	errPayloadTooBig   = &stanzaError{typ: stanza.Modify, condition: stanza.NotAcceptable, app: pubsub.CondPayloadTooBig, text: "the payload is too big"}
	errTooManyItems    = &stanzaError{typ: stanza.Cancel, condition: stanza.NotAllowed, app: pubsub.CondMaxItemsExceeded, text: "there are too many items in one publish"}
	errItemForbidden   = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, app: pubsub.CondItemForbidden, text: "the node takes no items: it only notifies"}
	errNotPublisher    = &stanzaError{typ: stanza.Auth, condition: stanza.Forbidden, text: "the node does not let you publish"}
	errNotYourItem     = &stanzaError{typ: stanza.Auth, condition: stanza.Forbidden, text: "only what you have published is yours to remove"}
	errNoItem          = &stanzaError{typ: stanza.Cancel, condition: stanza.ItemNotFound, text: "the node has no such item"}
	errOneItem         = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, app: pubsub.CondItemRequired, text: "an item is removed by its id, and one at a time"}
	errNotifyValue     = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, text: "notify is a boolean: 0, 1, false or true"}
	errBadOptions      = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, text: "the options cannot be read"}
	errNodeFull        = &stanzaError{typ: stanza.Cancel, condition: stanza.Conflict, other: "node-full", text: "the node is full: items have to be removed first"}
	errPrecondition    = &stanzaError{typ: stanza.Cancel, condition: stanza.Conflict, other: "precondition-not-met", text: "the node is not set up as the options demand"}
	errItemID          = &stanzaError{typ: stanza.Modify, condition: stanza.NotAcceptable, text: "the id of the item is too long"}

	// Subscribing, §6.1.3 and §6.2.3.
	errJIDRequired    = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, app: pubsub.CondJIDRequired, text: "the jid is missing"}
	errInvalidJID     = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, app: pubsub.CondInvalidJID, text: "the jid must be your own: bare, or the one you ask from"}
	errOthersJID      = &stanzaError{typ: stanza.Auth, condition: stanza.Forbidden, text: "only your own subscription is yours to end"}
	errTooMany        = &stanzaError{typ: stanza.Wait, condition: stanza.PolicyViolation, app: pubsub.CondTooManySubscriptions, text: "you have as many subscriptions as anybody may have"}
	errTooManyInAll   = &stanzaError{typ: stanza.Wait, condition: stanza.ResourceConstraint, app: pubsub.CondTooManySubscriptions, text: "the service has as many subscriptions as it can have"}
	errPending        = &stanzaError{typ: stanza.Auth, condition: stanza.NotAuthorized, app: pubsub.CondPendingSubscription, text: "an owner of the node has not answered your request yet"}
	errNotApproved    = &stanzaError{typ: stanza.Auth, condition: stanza.NotAuthorized, app: pubsub.CondNotSubscribed, text: "the node is for those whom an owner has let subscribe"}
	errTooManyPending = &stanzaError{typ: stanza.Wait, condition: stanza.ResourceConstraint, app: pubsub.CondTooManySubscriptions, text: "as many requests as can wait for the owners of the node do"}
	errNotSubscribed  = &stanzaError{typ: stanza.Cancel, condition: stanza.UnexpectedRequest, app: pubsub.CondNotSubscribed, text: "there is no such subscription"}
	errInvalidSubID   = &stanzaError{typ: stanza.Modify, condition: stanza.NotAcceptable, app: pubsub.CondInvalidSubID, text: "subscriptions have no subid here"}
	errOthersOptions  = &stanzaError{typ: stanza.Auth, condition: stanza.Forbidden, text: "only the options of your own subscription are yours"}
	errNoOptions      = &stanzaError{typ: stanza.Modify, condition: stanza.UnexpectedRequest, app: pubsub.CondNotSubscribed, text: "there is no such subscription to have options"}
	errInvalidOptions = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, app: pubsub.CondInvalidOptions, text: "there is no form with the options of a subscription"}
	errAskedTooOften  = &stanzaError{typ: stanza.Wait, condition: stanza.PolicyViolation, text: "you have asked owners as often as anybody may; try again later"}
	errBadMaxItems    = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, text: "max_items is a number from 1 up"}
	errBadPaging      = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, text: "the limits of the result set make no sense"}
	errNoIndex        = &stanzaError{typ: stanza.Cancel, condition: stanza.FeatureNotImplemented, text: "pages are found by before and after, not by index"}
	errNoSuchPosition = &stanzaError{typ: stanza.Cancel, condition: stanza.ItemNotFound, text: "the item to continue from is gone"}

	// Archives, XEP-0313.
	errBadQuery         = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, text: "the query cannot be read"}
	errNoFilter         = &stanzaError{typ: stanza.Cancel, condition: stanza.FeatureNotImplemented, text: "archives are not searched by that"}
	errArchiveForbidden = &stanzaError{typ: stanza.Auth, condition: stanza.Forbidden, text: "the node is not open to you"}

	// Commands, XEP-0050 §4.4.
	errMalformedAction     = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, other: "malformed-action", space: nsCommands, text: "an action is execute, next, prev, complete or cancel"}
	errBadAction           = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, other: "bad-action", space: nsCommands, text: "the command cannot do that now"}
	errBadLocale           = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, other: "bad-locale", space: nsCommands, text: "xml:lang is no language tag"}
	errBadPayload          = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, other: "bad-payload", space: nsCommands, text: "the form is not acceptable"}
	errBadSessionID        = &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest, other: "bad-sessionid", space: nsCommands, text: "this is not a session of yours with this command"}
	errSessionExpired      = &stanzaError{typ: stanza.Cancel, condition: stanza.NotAllowed, other: "session-expired", space: nsCommands, text: "the session has ended; begin anew"}
	errNoCommand           = &stanzaError{typ: stanza.Cancel, condition: stanza.ItemNotFound, text: "there is no such command"}
	errCommandForbidden    = &stanzaError{typ: stanza.Cancel, condition: stanza.Forbidden, text: "the command is not for you"}
	errTooManyRuns         = &stanzaError{typ: stanza.Wait, condition: stanza.PolicyViolation, text: "you have as many commands open as anybody may; complete or cancel one"}
	errUnknownWord         = &stanzaError{typ: stanza.Cancel, condition: stanza.ItemNotFound, text: "there is no such command; say help"}
	errReload              = &stanzaError{typ: stanza.Cancel, condition: stanza.Conflict}
	errTokenSpent          = &stanzaError{typ: stanza.Cancel, condition: stanza.Forbidden, text: "the token has been used for this before"}
	errTooManyAdmins       = &stanzaError{typ: stanza.Cancel, condition: stanza.Conflict, text: "there are as many admins as there can be"}
	errNoAdmin             = &stanzaError{typ: stanza.Cancel, condition: stanza.ItemNotFound, text: "nobody has made this JID an admin by stanza"}
	errTooManyAffiliations = &stanzaError{typ: stanza.Cancel, condition: stanza.Conflict, text: "the node has as many affiliations as it can have"}
	errTooManyRunsInAll    = &stanzaError{typ: stanza.Wait, condition: stanza.ResourceConstraint, text: "the service has as many commands open as it can have"}

	// The service's own trouble.
	errBusy         = &stanzaError{typ: stanza.Wait, condition: stanza.ResourceConstraint, text: "the service is busy; try again later"}
	errGreedy       = &stanzaError{typ: stanza.Wait, condition: stanza.ResourceConstraint, text: "too many of your requests are waiting; await their answers first"}
	errTooFast      = &stanzaError{typ: stanza.Wait, condition: stanza.PolicyViolation, text: "you send faster than anybody may; try again later"}
	errStopping     = &stanzaError{typ: stanza.Wait, condition: stanza.RecipientUnavailable, text: "the service is shutting down; try again later"}
	errInternal     = &stanzaError{typ: stanza.Cancel, condition: stanza.InternalServerError, text: "internal error"}
	errAnswerTooBig = &stanzaError{typ: stanza.Modify, condition: stanza.NotAcceptable, text: "the answer would be too big; ask for less at a time"}
)

// ofCommand is an error of something that a command tried, as XEP-0050 §4.4 has it; nil if the command has run and failed,
// which is no error of the request (XEP-0050 §3.3) but what the command has to say.
func (e *stanzaError) ofCommand() *stanzaError {
	switch {
	case e.space == nsCommands || e.typ == stanza.Wait || e.condition == stanza.InternalServerError:
		return e
	case e.condition == stanza.BadRequest || e.condition == stanza.NotAcceptable:
		return errBadPayload.saying(e.text)
	case e.condition == stanza.Forbidden || e.condition == stanza.NotAllowed || e.condition == stanza.NotAuthorized:
		return errCommandForbidden.saying(e.text)
	}
	return nil
}

// unsupported refuses a part of XEP-0060 that is not offered, by the name of its feature (XEP-0060 §10).
func unsupported(f pubsub.Feature) *stanzaError {
	return &stanzaError{
		typ: stanza.Cancel, condition: stanza.FeatureNotImplemented, app: pubsub.CondUnsupported, feature: f.String(),
		text: "the service does not offer this part of publish-subscribe",
	}
}

// ofKind is the table from what went wrong in the broker to XMPP.
func ofKind(k broker.Kind) *stanzaError {
	switch k {
	case broker.Invalid:
		return &stanzaError{typ: stanza.Modify, condition: stanza.BadRequest}
	case broker.Unauthenticated, broker.Forbidden: // there is no credential that an XMPP user could add
		return &stanzaError{typ: stanza.Auth, condition: stanza.Forbidden}
	case broker.NotFound, broker.HistoryLost:
		return &stanzaError{typ: stanza.Cancel, condition: stanza.ItemNotFound}
	case broker.Conflict:
		return &stanzaError{typ: stanza.Cancel, condition: stanza.Conflict}
	case broker.TooLarge:
		return &stanzaError{typ: stanza.Modify, condition: stanza.NotAcceptable, app: pubsub.CondPayloadTooBig}
	case broker.RateLimited:
		return &stanzaError{typ: stanza.Wait, condition: stanza.PolicyViolation}
	case broker.SlowConsumer, broker.Unavailable, broker.Closed:
		return &stanzaError{typ: stanza.Wait, condition: stanza.RecipientUnavailable}
	case broker.Internal:
		return errInternal
	}
	return errInternal
}

// toStanzaError makes what goes out of any error, and logs what is a fault of ours.
func (s *Service) toStanzaError(err error) *stanzaError {
	if e, ok := errors.AsType[*stanzaError](err); ok {
		return e
	}
	kind := broker.KindOf(err)
	if kind == broker.Internal {
		s.log.Error("an XMPP request failed", slog.Any("error", err))
	}
	return ofKind(kind).saying(broker.TextOf(err))
}

// refusal is the answer to a request that the link did not let in whole.
func refusal(r component.Reason) *stanzaError {
	text := "the stanza was refused: " + r.String()
	switch r {
	case component.StanzaTooBig:
		return errPayloadTooBig.saying(text)
	case component.RestrictedXML, component.Malformed:
		return errIQPayload.saying(text)
	case component.TooDeep, component.TooManyElements, component.TooManyAttributes, component.AttributeTooBig:
		return &stanzaError{typ: stanza.Modify, condition: stanza.PolicyViolation, text: text}
	case component.NotRefused, component.UnknownElement, component.StrayAnswer, component.NobodyListens, component.HandlerPanicked,
		component.OutTooBig, component.OutFull, component.OutDown, component.OutLost:
		// These come with no stanza.
	}
	return errInternal
}
