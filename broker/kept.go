package broker

// Kept counts what the engine keeps now. It is quick: for those who must know whether histories have been dropped meanwhile.
func (b *Broker) Kept() EngineStats { return b.engine.Stats() }
