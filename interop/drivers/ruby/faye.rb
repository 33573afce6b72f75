# Drives the Ruby client of Faye (Debian `ruby-faye`), unmodified, over
# WebSocket. Commands and events are as in ../js/lines.mjs.
# Options: url.

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
    message.is_a?(Hash) && message.key?('data') && !message.key?('successful')
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
    command['channels'].each do |channel|
      subscription = CLIENT.subscribe(channel) do |value|
        emit('message', channel: channel, value: value, place: Frames::PLACES[channel].shift)
      end
      subscription.callback { emit('ready') if (waiting -= 1).zero? }
      subscription.errback { |error| emit('failed', error: error.message) }
    end
  end

  def unbind
    EM.stop
  end
end

EM.run do
  CLIENT = Faye::Client.new(JSON.parse(ARGV.fetch(0)).fetch('url'))
  CLIENT.add_extension(Class.new do
    def outgoing(message, pass)
      emit('connect', transport: message['connectionType']) if message['channel'] == '/meta/connect'
      pass.call(message)
    end
  end.new)
  EM.attach($stdin, Commands)
end
