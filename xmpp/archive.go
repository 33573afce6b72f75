package xmpp

import "mellium.im/xmpp/history"

const nsArchive = history.NS
