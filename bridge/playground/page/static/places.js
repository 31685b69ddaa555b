// Where a message is shown: the one difference between the platforms. On Slack a reply lies in its channel and names
// its root; on Discord a thread is a channel of its own, whose id is that of the message it began from.

export const channel_named = (view, id) => view.channels.get(id);

export function thread_of(view, message) {
  if (view.platform === "slack") return message.thread;
  return channel_named(view, message.channel)?.kind === "thread" ? message.channel : message.thread;
}

export function channel_of(view, message) {
  const channel = channel_named(view, message.channel);
  return channel?.kind === "thread" ? channel.parent : message.channel;
}

export const in_main = (view, message) =>
  message.channel === view.channel && (view.platform === "discord" || message.id === message.thread);

export const in_thread = (view, message) =>
  view.thread !== "" && channel_of(view, message) === view.channel && thread_of(view, message) === view.thread;

export const is_reply = (view, message) =>
  !message.system && (view.platform === "discord" ? channel_named(view, message.channel)?.kind === "thread"
                                                  : message.id !== message.thread);

// A sign's place: on Discord a thread's sign is that of a channel.
export function sign_key(view, channel, thread) {
  return view.platform === "discord" ? `${thread || channel}/` : `${channel}/${thread}`;
}

// The thread that a sign or a message makes worth looking at, with its channel.
export function place_of_sign(view, sign) {
  if (view.platform === "slack") return { channel: sign.channel, thread: sign.thread };
  const channel = channel_named(view, sign.channel);
  return channel?.kind === "thread" ? { channel: channel.parent, thread: channel.id } : { channel: sign.channel, thread: "" };
}
