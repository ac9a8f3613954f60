//! Lists of a user, of a room and of the site that are as long as they may become, but for a few
//! rows: written into Redis in the format of the records.

use std::time::{Duration, SystemTime};

use super::redis::Redis;

/// The private chats of the user, and its invitations.
pub const CHATS: usize = 100;
pub const INVITATIONS: usize = 45;
/// The members of the room besides its owner, and as many invited users.
pub const MEMBERS: usize = 190;
/// How long the invitations are open.
const INVITATIONS_OPEN: Duration = Duration::from_hours(24);

/// Fills the lists of this user, who owns the private room `cellar`.
pub async fn fill(redis: &Redis, user: &str) {
    let script = "local me, open_until = ARGV[1], ARGV[2]
        local chats, invitations, members = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
        local function put(key, value)
          redis.call('SET', 'parlor:record:' .. key, type(value) == 'table' and cjson.encode(value) or value)
        end
        local function add(index, name, rank)
          redis.call('ZADD', 'parlor:index:' .. index, rank, name)
        end
        for n = 1, members do
          local id, name = string.format('%016x', n), 'peer' .. n
          put('user_id:' .. id, name)
          put('user:' .. name, { id = id, name = name, staff = false, banned = false, made = n })
          add('users', name, n)
          add('rooms_of:{' .. me .. '}', 'hall' .. n, n)
          add('room_members:{chat_hall' .. n .. '}', me, n)
          add('room_members:{chat_cellar}', id, n)
          add('room_invited:{chat_cellar}', id, open_until)
          put('key:' .. id, { id = id, name = name, hash = '', scopes = { 'read' }, made = n })
          add('keys', id, n)
          put('ban:' .. id, '1')
          add('bans', id, n)
        end
        for n = 1, chats do
          add('talks:' .. me, string.format('%016x', n), n)
        end
        add('unread:' .. me .. ':' .. string.format('%016x', 1), '1-0', 1)
        for n = 1, invitations do
          local club, shut = 'club' .. n, 'shut' .. n
          put('room:{chat_' .. club .. '}', { owner = string.format('%016x', n), private = true })
          add('room_invited:{chat_' .. club .. '}', me, open_until)
          add('invitations:{' .. me .. '}', club, open_until)
          put('room:{chat_' .. shut .. '}', { closed = true })
          add('closed_rooms', shut, n)
        end
        for actor = 1, 20 do
          local who = 'peer' .. actor
          add('auditors', who, 1000 + actor)
          for n = 1, 150 do
            local at = n * 100 + actor
            add('audit:' .. who, cjson.encode({ at = at, who = who, what = 'ban', about = 'guest' .. n }), at)
          end
        end";
    let open_until = SystemTime::now() + INVITATIONS_OPEN;
    let open_until =
        open_until.duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_millis().to_string();
    let counts = [CHATS, INVITATIONS, MEMBERS].map(|count| count.to_string());
    let mut command = vec!["EVAL", script, "0", user, &open_until];
    command.extend(counts.iter().map(String::as_str));
    redis.query::<redis::Value>(&command).await;
}
