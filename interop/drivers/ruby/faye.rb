# Drives the Ruby client of Faye (Debian `ruby-faye`), unmodified. Commands and
# events are as in ../js/lines.mjs.
# Options: url; transport, "websocket" or "long-polling".

require 'eventmachine'
require 'faye'
require 'json'

$stdout.sync = true

def emit(event, fields = {})
  puts JSON.generate({ ev: event }.merge(fields))
end

# The exact text of what came, as in ../js/frames.mjs: Faye parses with
# MultiJson.load, and this listens there.
module Frames
  PLACES = Hash.new { |places, channel| places[channel] = [] }
  @count = 0

  def self.note(text, messages)
    return unless messages.any? { |message| event?(message) }

    emit('frame', text: text)
    messages.each_with_index do |message, at|
      PLACES[message['channel']] << { frame: @count, at: at } if event?(message)
    end
    @count += 1
  end

  def self.event?(message)
    message.is_a?(Hash) && message.key?('data')
  end

  def load(text, *)
    super.tap { |value| Frames.note(text, [value].flatten(1)) }
  end
end
MultiJson.singleton_class.prepend(Frames)

module Commands
  include EM::Protocols::LineText2

  def receive_line(line)
    command = JSON.parse(line)
    send(command['op'], command)
  end

  def subscribe(command)
    waiting = command['channels'].size
    listen = proc do |value|
      channel = Watch.passing
      emit('message', channel: channel, value: value, place: Frames::PLACES[channel].shift)
    end
    command['channels'].zip(CLIENT.subscribe(command['channels'], &listen)) do |channel, subscription|
      SUBSCRIPTIONS[channel] = subscription
      subscription.callback { emit('ready') if (waiting -= 1).zero? }
      subscription.errback { |error| emit('failed', error: error.message) }
    end
  end

  # One after the other: over HTTP each is a request, and two at once may overtake.
  # Only after subscribing: what Faye is given before the connection is there, it
  # sends in an odd order.
  def publish(command)
    (@waiting ||= []) << command
    publish_next if @waiting.size == 1
  end

  def publish_next
    publication = send_out(@waiting.first)
    publication.callback { @waiting.shift && @waiting.any? && publish_next }
    publication.errback { @waiting.shift && @waiting.any? && publish_next }
  end

  # What is published in one turn goes into one request, over HTTP.
  def batch(command)
    command['messages'].each { |message| send_out(message) }
  end

  def send_out(message)
    publication = CLIENT.publish(message['channel'], JSON.parse(message['text']))
    publication.callback { emit('published') }
    publication.errback { |error| emit('failed', error: "#{error.code}: #{error.message}", status: error.code) }
    publication
  end

  def unsubscribe(command)
    SUBSCRIPTIONS[command['channel']].cancel
  end

  def disconnect(_command)
    CLIENT.disconnect
  end

  def unbind
    EM.stop
  end
end

# Faye's own hook for looking at messages as they pass.
module Watch
  class << self
    attr_reader :passing

    def outgoing(message, pass)
      emit('handshake') if message['channel'] == '/meta/handshake'
      emit('connect', transport: message['connectionType']) if message['channel'] == '/meta/connect'
      emit('sent', id: message['id']) if message.key?('data')
      pass.call(message)
    end

    def incoming(message, pass)
      @passing = message['channel']
      if message['successful']
        case message['channel']
        when '/meta/subscribe' then emit('subscribed', channel: message['subscription'])
        when '/meta/unsubscribe' then emit('unsubscribed')
        when '/meta/disconnect' then emit('disconnected')
        end
      end
      pass.call(message)
    end
  end
end

EM.run do
  options = JSON.parse(ARGV.fetch(0))
  SUBSCRIPTIONS = {}
  CLIENT = Faye::Client.new(options.fetch('url'), retry: 2)
  CLIENT.disable('websocket') if options['transport'] == 'long-polling'
  CLIENT.add_extension(Watch)
  EM.attach($stdin, Commands)
end
