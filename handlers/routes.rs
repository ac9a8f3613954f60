//! The route table. A new route is one row here and one function.
//!
//! A row has a name, a path, and an endpoint for each method, or an access, a channel and a
//! protocol for each subprotocol.
//! Unless the row says otherwise, all clients may use it, requests are limited by address, and a
//! method that changes something requires the CSRF token and has a rate limit of its own.

use parlor::{Csrf, Rate, Route, Slash, Who, handler};

use crate::admin::access::{OperatorChatAccess, OperatorPushAccess};
use crate::admin::streams::OperatorStreams;
use crate::centrifugo::streams::ChannelStreams;
use crate::chat::access::ChatAccess;
use crate::chat::channel::Chat;
use crate::dm::inbox::{Inbox, InboxAccess};
use crate::protocols::centrifugo::Centrifugo;
use crate::protocols::centrifugo::encoding::{Json, Protobuf};
use crate::protocols::centrifugo::transport::{EventStream, HttpStream};
use crate::protocols::centrifugo::unidirectional::Unidirectional;
use crate::protocols::tutorial::Tutorial;
use crate::protocols::v1::V1;
use crate::push::access::PushAccess;
use crate::push::channel::Push;
use crate::scopes::{DISCONNECT, PUBLISH, READ};
use crate::streams::RoomStreams;
use crate::{accounts, admin, api, centrifugo, chat, dm, push, rooms, web};

/// The rate of operators' actions.
const BY_OPERATOR: Rate = Rate::Unlimited("operators are trusted, and the audit log has each action");

/// The rows. The first that matches a path serves it.
pub(crate) static ROUTES: &[Route] = &[
    // Rooms.
    Route::new("root", "/").get(handler!(rooms::index_page::root)),
    Route::new("home", "/chat/").slash(Slash::Redirect).get(handler!(rooms::index_page::page)),
    Route::new("room", "/chat/{room}/").slash(Slash::Redirect).get(handler!(rooms::page::page)),
    Route::new("members", "/chat/{room}/members/")
        .get(handler!(rooms::members_page::page))
        .post(handler!(rooms::members_page::change)),
    Route::new("rooms", "/rooms/").post(handler!(rooms::claim::make)),
    Route::new("invite", "/invite/{link}/")
        .get(handler!(rooms::invite_page::page))
        .post(handler!(rooms::invite_page::accept)),
    Route::new("invitations", "/invitations/").post(handler!(rooms::invite_page::answer)),
    // Any number of channels on one connection.
    Route::new("socket", "/ws").slash(Slash::Optional).connection::<V1, RoomStreams>(),
    Route::new("centrifugo_socket", "/connection/websocket")
        .connection::<Centrifugo<Protobuf>, ChannelStreams>()
        .connection::<Centrifugo<Json>, ChannelStreams>(),
    Route::new("centrifugo_http_stream", "/connection/http_stream")
        .client_stream::<Centrifugo<Json, HttpStream>, Centrifugo<Protobuf, HttpStream>, ChannelStreams>()
        .shared(),
    Route::new("centrifugo_sse", "/connection/sse")
        .client_stream::<Centrifugo<Json, EventStream>, Centrifugo<Json, EventStream>, ChannelStreams>()
        .shared(),
    Route::new("centrifugo_uni_sse", "/connection/uni_sse")
        .client_stream::<Unidirectional<EventStream>, Unidirectional<EventStream>, ChannelStreams>()
        .shared(),
    Route::new("centrifugo_uni_http_stream", "/connection/uni_http_stream")
        .client_stream::<Unidirectional<HttpStream>, Unidirectional<HttpStream>, ChannelStreams>()
        .shared(),
    Route::new("emulation", "/emulation").shared().post(
        handler!(centrifugo::emulation::send)
            .csrf(Csrf::Origin)
            .rate(Rate::Unlimited("the connection has the limits of a socket")),
    ),
    // Chat.
    Route::new("chat_socket", "/ws/chat/{room}/")
        .slash(Slash::Optional)
        .socket::<ChatAccess, Chat, Tutorial>()
        .socket_with::<ChatAccess, Chat, V1, RoomStreams>(),
    Route::new("chat_sse", "/sse/chat/{room}/").slash(Slash::Optional).sse::<ChatAccess, Chat, V1>(),
    Route::new("chat_messages", "/chat/{room}/messages")
        .post(handler!(chat::post::message).csrf(Csrf::Origin).rate(Rate::Messages)),
    // Push streams. The tutorial starts one by GET, without a token.
    Route::new("push_socket", "/ws/push/{room}")
        .slash(Slash::Optional)
        .socket::<PushAccess, Push, Tutorial>()
        .socket_with::<PushAccess, Push, V1, RoomStreams>(),
    Route::new("push", "/push")
        .get(handler!(push::stream::start).csrf(Csrf::Origin).rate(Rate::Messages))
        .post(handler!(push::stream::start).csrf(Csrf::Origin).rate(Rate::Messages))
        .delete(handler!(push::stream::stop).csrf(Csrf::Origin).rate(Rate::Messages)),
    // Direct messages.
    Route::new("conversations", "/dm/").slash(Slash::Redirect).get(handler!(dm::pages::list)),
    Route::new("conversation", "/dm/{user}/").slash(Slash::Redirect).get(handler!(dm::pages::conversation)),
    Route::new("inbox_socket", "/ws/inbox/")
        .slash(Slash::Optional)
        .socket_with::<InboxAccess, Inbox, V1, RoomStreams>(),
    // Accounts.
    Route::new("login", "/accounts/login/")
        .get(handler!(accounts::pages::login_page))
        .post(handler!(accounts::pages::login).rate(Rate::Logins)),
    Route::new("signup", "/accounts/signup/")
        .get(handler!(accounts::pages::signup_page))
        .post(handler!(accounts::pages::signup).rate(Rate::Names)),
    Route::new("logout", "/accounts/logout/").post(handler!(accounts::pages::logout).rate(Rate::Messages)),
    Route::new("guest", "/accounts/guest/")
        .get(handler!(accounts::pages::nickname_page))
        .post(handler!(accounts::pages::nickname).rate(Rate::Names)),
    Route::new("tickets", "/api/tickets")
        .post(handler!(accounts::tickets::make).csrf(Csrf::SessionToken).rate(Rate::Messages)),
    // The API.
    Route::new("openapi", "/api/openapi.json").who(Who::Public).get(handler!(api::document::file)),
    Route::new("api_rooms", "/api/rooms").get(handler!(api::rooms::list).scope(READ)),
    Route::new("api_messages", "/api/rooms/{room}/messages")
        .get(handler!(api::messages::page).scope(READ))
        .post(handler!(api::messages::publish).scope(PUBLISH).rate(Rate::Publishes)),
    Route::new("api_members", "/api/rooms/{room}/members").get(handler!(api::members::list).scope(READ)),
    Route::new("api_broadcast", "/api/broadcast")
        .post(handler!(api::broadcast::send).scope(PUBLISH).rate(Rate::PublishesPerItem)),
    Route::new("api_events", "/api/groups/{group}/events")
        .post(handler!(api::events::send).scope(PUBLISH).rate(Rate::Publishes)),
    Route::new("api_disconnect", "/api/users/{user}/disconnect")
        .post(handler!(api::users::disconnect).scope(DISCONNECT).rate(Rate::Publishes)),
    Route::new("api_push", "/api/push/{room}")
        .post(handler!(api::push::start).scope(PUBLISH).rate(Rate::Publishes))
        .delete(handler!(api::push::stop).scope(PUBLISH).rate(Rate::Publishes)),
    Route::new("centrifugo_api", "/centrifugo/api/{method}")
        .post(handler!(centrifugo::api::call).csrf(Csrf::SessionToken).rate(Rate::PublishesPerItem)),
    // Operators.
    Route::new("admin_nodes", "/admin/")
        .who(Who::Staff)
        .slash(Slash::Redirect)
        .get(handler!(admin::nodes::page)),
    Route::new("admin_figures", "/admin/figures").who(Who::Staff).get(handler!(admin::stats::json)),
    Route::new("admin_rooms", "/admin/rooms/").who(Who::Staff).get(handler!(admin::rooms::page)),
    Route::new("admin_room", "/admin/rooms/{room}/")
        .who(Who::Staff)
        .get(handler!(admin::room::page))
        .post(handler!(admin::room::act).rate(BY_OPERATOR)),
    Route::new("admin_push", "/admin/rooms/{room}/push")
        .who(Who::Staff)
        .post(handler!(admin::push::start).rate(BY_OPERATOR))
        .delete(handler!(admin::push::stop).rate(BY_OPERATOR)),
    Route::new("admin_socket", "/ws/admin").who(Who::Staff).connection::<V1, OperatorStreams>(),
    Route::new("admin_chat_socket", "/ws/admin/{room}/")
        .who(Who::Staff)
        .socket::<OperatorChatAccess, Chat, V1>(),
    Route::new("admin_push_socket", "/ws/admin/{room}/push")
        .who(Who::Staff)
        .socket::<OperatorPushAccess, Push, V1>(),
    Route::new("admin_users", "/admin/users/")
        .who(Who::Staff)
        .get(handler!(admin::users::page))
        .post(handler!(admin::users::act).rate(BY_OPERATOR)),
    Route::new("admin_keys", "/admin/keys/")
        .who(Who::Staff)
        .get(handler!(admin::keys::page))
        .post(handler!(admin::keys::act).rate(BY_OPERATOR)),
    Route::new("admin_audit", "/admin/audit/").who(Who::Staff).get(handler!(admin::audit::page)),
    // Files and probes.
    Route::new("static_files", "/static/{path*}")
        .who(Who::Public)
        .files()
        .get(handler!(web::static_files::file)),
    Route::new("healthz", "/healthz").who(Who::Public).probe().get(handler!(web::health::live)),
    Route::new("readyz", "/readyz").who(Who::Public).probe().get(handler!(web::health::ready)),
    Route::new("metrics", "/metrics").who(Who::Public).probe().get(handler!(web::metrics::text)),
];
