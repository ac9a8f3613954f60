//! Login, logout, nicknames and tickets.

use cookie::Key as CookieKey;

use crate::auth::accounts::{Account, Accounts};
use crate::auth::api_keys::{ApiKey, ApiKeys};
use crate::auth::cookie_names::CookieNames;
use crate::auth::credentials::logins_of;
use crate::auth::guests::Guest;
use crate::auth::identity::Role;
use crate::auth::jwt::Verifier;
use crate::auth::tickets::Ticket;
use crate::auth::usernames::Username;
use crate::auth::{guests, identity, secret, sessions};
use crate::http::context::Context;
use crate::http::csrf::CsrfToken;
use crate::http::request::Request;
use crate::http::response::{Refusal, Response};
use crate::layer::LayerError;
use crate::layer::{Control, Disconnect, Instruction};
use crate::wire::close::CloseCode;
use crate::wire::cookies;

impl Request {
    /// Returns the account with this name and this password. The route limits the rate
    /// ([`Rate::Logins`]).
    ///
    /// [`Rate::Logins`]: crate::Rate::Logins
    ///
    /// # Errors
    /// Returns 503 when too many passwords are being checked, or when the layer does not answer.
    pub async fn check_password(&self, name: &str, password: &str) -> Result<Option<Account>, Refusal> {
        Ok(self.context.accounts().check(name, password).await?)
    }

    /// Starts a session of this account, and adds its cookie to the response. Ends the browser's
    /// previous session.
    ///
    /// # Errors
    /// Returns 503 when the layer does not answer.
    pub async fn log_in(&self, account: &Account, response: Response) -> Result<Response, Refusal> {
        if let Some(before) = self.identity().login() {
            self.end_login(before).await?;
        }
        let ttl = self.context.session_ttl();
        let guest = self.guest_of_browser();
        let store = self.context.store();
        let secret = sessions::begin(store, account, guest.clone(), ttl).await?;
        for oldest in sessions::surplus(store, &account.id).await? {
            self.context.end_login(&account.id, &oldest).await?;
        }
        if let Some(guest) = guest {
            // A ban that came meanwhile has not seen this login.
            let now = self.context.accounts().find_by_id(&account.id).await?;
            let renewal = Disconnect::renewal(&guest);
            if now.is_some_and(|account| account.banned) {
                let ban = |rights| async move { guests::ban_with(&rights, &[guest], &account.id).await };
                self.context.change_rights(&[renewal], ban).await?;
            } else {
                // The browser's other tabs are the account's from now on.
                self.context.disconnect(&renewal).await?;
            }
        }
        let cookie = self.session_cookie(Some(&secret));
        Ok(response.with_cookie(&cookie).with_cookie(&CsrfToken::fresh(self.is_secure())))
    }

    /// Logs the client out, and closes the sockets of the session on every node.
    ///
    /// # Errors
    /// Returns 503 when the layer does not answer.
    pub async fn log_out(&self, response: Response) -> Result<Response, Refusal> {
        if let Some(hash) =
            self.identity().login().map(str::to_owned).or_else(|| self.secret().map(secret::hash))
        {
            self.end_login(&hash).await?;
        }
        let cookie = self.session_cookie(None);
        Ok(response.with_cookie(&cookie).with_cookie(&CsrfToken::fresh(self.is_secure())))
    }

    /// Returns the id of the guest that the client's browser is without a login.
    fn guest_of_browser(&self) -> Option<String> {
        if self.identity().role() <= Role::Guest {
            return Some(self.identity().id().to_owned());
        }
        Some(self.guest_of_cookies(&*self.context.known_key()?)?.id)
    }

    fn guest_of_cookies(&self, key: &CookieKey) -> Option<Guest> {
        let cookies = cookies::values(self.headers(), self.guest_cookie_name());
        Guest::from_cookies(&cookies, key)
    }

    fn guest_cookie_name(&self) -> &str {
        self.cookies().guest(self.is_secure())
    }

    /// Returns the secret of the login that the client is identified by, or of the only one in its
    /// cookies.
    fn secret(&self) -> Option<&str> {
        let name = self.cookies().session(self.is_secure());
        let is_own = |secret: &&str| self.identity().login().is_some_and(|hash| secret::hash(secret) == hash);
        let own = logins_of(self.headers(), name).find(is_own);
        own.or_else(|| {
            let mut secrets = logins_of(self.headers(), name);
            secrets.next().filter(|_| secrets.next().is_none())
        })
    }

    fn cookies(&self) -> &CookieNames {
        self.context.auth().cookies()
    }

    fn session_cookie(&self, secret: Option<&str>) -> String {
        let ttl = self.context.session_ttl();
        sessions::cookie(self.cookies().session(self.is_secure()), secret, ttl, self.is_secure())
    }

    /// Ends a login. A session that does not exist costs the nodes nothing.
    async fn end_login(&self, hash: &str) -> Result<(), Refusal> {
        if !sessions::exists(self.context.store(), hash).await? {
            return Ok(());
        }
        Ok(self.context.end_login(self.identity().id(), hash).await?)
    }

    /// Sets the nickname of the guest, and adds its cookie to the response. An empty nickname
    /// removes it. Returns `None` if the nickname is taken or invalid.
    ///
    /// # Errors
    /// Returns 403 unless the client is a guest, 503 when the layer does not answer.
    pub async fn set_nickname(
        &self,
        nickname: &str,
        response: Response,
    ) -> Result<Option<Response>, Refusal> {
        let identity = self.identity();
        if identity.role() > Role::Guest {
            return Err(Refusal::forbidden("only guests have nicknames"));
        }
        let key = self.context.key().await?;
        let guest = self.guest_of_cookies(&key).unwrap_or_else(Guest::new);
        let wanted = Username::parse(nickname);
        if (wanted.is_none() && !nickname.trim().is_empty())
            || !guest.reserve(self.context.store(), wanted.as_ref()).await?
        {
            return Ok(None);
        }
        // The guest's sockets reconnect under the new name.
        let renewal = Disconnect::renewal(&guest.id);
        let change = |rights| async move { guest.set_nickname(&rights, wanted).await.map(Some) };
        let guest = self.context.change_rights(&[renewal], change).await?;
        let cookie = |guest: Guest| guest.cookie(self.guest_cookie_name(), &key, self.is_secure());
        Ok(guest.map(|guest| response.with_cookie(&cookie(guest))))
    }

    /// Returns a ticket for one socket of this client, valid for
    /// [`TICKET_LIFETIME`](crate::TICKET_LIFETIME).
    ///
    /// # Errors
    /// Returns 401 for clients without an account, 503 when the layer does not answer.
    pub async fn ticket(&self) -> Result<String, Refusal> {
        let identity = self.identity();
        let Some(details) = identity.details.as_ref().filter(|_| identity.is_user()) else {
            return Err(Refusal::unauthorized("`Authorization`: expected a token, or the cookie of a login"));
        };
        let ticket = Ticket {
            user: details.user.to_string(),
            login: details.login.clone(),
            expires_at: identity.expires_at(),
        };
        Ok(ticket.make(self.context.store()).await?)
    }

    /// Returns the cookie that makes an anonymous client a guest at its next request.
    pub(crate) fn guest_cookie(&self) -> Option<String> {
        let identity = self.identity();
        // Without authentication it is not known whether the client is a guest already.
        let is_anonymous = self.is_authenticated && identity.role() == Role::Anonymous;
        if !is_anonymous || self.context.config().auth.no_guests {
            return None;
        }
        let guest = Guest { id: identity.id().to_owned(), nickname: None };
        Some(guest.cookie(self.guest_cookie_name(), &*self.context.known_key()?, self.is_secure()))
    }

    /// Returns the cookie of the session with a renewed lifetime.
    pub(crate) fn login_cookie(&self) -> Option<String> {
        self.identity().login()?;
        Some(self.session_cookie(Some(self.secret()?)))
    }
}

impl Context {
    /// Returns the accounts of this site.
    pub fn accounts(&self) -> Accounts<'_> {
        Accounts { store: self.store() }
    }

    /// Returns the account of a user of another site, by the `sub` of its tokens: those with the
    /// required `iss`, or without one if none is required.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn find_outside_user(&self, sub: &str) -> Result<Option<Account>, LayerError> {
        let issuer = self.auth().tokens().and_then(Verifier::issuer).unwrap_or_default();
        self.accounts().find_outside(issuer, sub).await
    }

    /// Returns the id of the user with this [`subject`](crate::Identity::subject), if there is
    /// one.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn find_by_subject(&self, subject: &str) -> Result<Option<String>, LayerError> {
        if secret::is_user_id(subject) {
            return Ok(Some(subject.to_owned()));
        }
        let Some(sub) = identity::sub_of(subject) else { return Ok(None) };
        Ok(self.find_outside_user(sub).await?.map(|account| account.id))
    }

    /// Returns the API keys of this site.
    pub fn api_keys(&self) -> ApiKeys<'_> {
        ApiKeys { store: self.store() }
    }

    /// Revokes an API key, and closes its sockets. Returns `None` if it was revoked already, even
    /// if its name is now another key's.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn revoke_key(&self, key: &ApiKey) -> Result<Option<()>, LayerError> {
        ApiKeys::revoke(self.layer(), key).await
    }

    /// Makes an account an operator, or revokes that, and has its sockets connect again. Returns
    /// `None` if the account is there no more.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn set_staff(&self, account: &Account, staff: bool) -> Result<Option<Account>, LayerError> {
        Accounts::set_staff(self.layer(), account, staff).await
    }

    /// Bans the account or guest with this id and closes its sockets, or lifts the ban. Logins of a
    /// banned account stay, and are answered 403, as are the guests of the browsers that have them.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn set_banned(&self, id: &str, banned: bool) -> Result<(), LayerError> {
        let ban = |id: &str| Disconnect::of_user(id, None, CloseCode::Forbidden, "banned");
        let bans = |id: &str| if banned { vec![ban(id)] } else { Vec::new() };
        let Some(account) = self.accounts().find_by_id(id).await? else {
            let change = |rights| async move { guests::set_banned(&rights, id, banned).await };
            self.change_rights(&bans(id), change).await?;
            return Ok(());
        };
        let change = |rights| async move {
            Accounts::change(&rights, &account, |account| account.banned = banned, &[]).await
        };
        self.change_rights(&bans(id), change).await?;
        if !banned {
            return guests::unban_with(self.store(), id).await;
        }
        // After the ban: a login that begins later is refused.
        let guests = sessions::guests(self.store(), id).await?;
        let commands: Vec<Disconnect> = guests.iter().map(|guest| ban(guest)).collect();
        if !guests.is_empty() {
            let change = |rights| async move { guests::ban_with(&rights, &guests, id).await };
            self.change_rights(&commands, change).await?;
        }
        Ok(())
    }

    /// Returns the ids of banned guests, the latest ban first.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn banned_guests(&self, limit: usize) -> Result<Vec<String>, LayerError> {
        guests::banned(self.store(), limit).await
    }

    /// Returns the id of the guest with this nickname.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn find_guest_by_nickname(&self, nickname: &str) -> Result<Option<String>, LayerError> {
        guests::called(self.store(), nickname).await
    }

    /// Ends every session of a user, and closes its sockets.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn end_logins(&self, id: &str) -> Result<(), LayerError> {
        let command = Disconnect::of_user(id, None, CloseCode::LoginEnded, "logged out by an operator");
        let end = |rights| async move {
            match self.accounts().find_by_id(id).await? {
                Some(account) => sessions::end_all(&rights, &account).await,
                None => Ok(None),
            }
        };
        self.change_rights(&[command], end).await?;
        Ok(())
    }

    /// Ends a session of a user, and closes its sockets.
    async fn end_login(&self, user: &str, hash: &str) -> Result<(), LayerError> {
        let command = Disconnect {
            login: Some(hash.to_owned()),
            code: CloseCode::LoginEnded.number(),
            reason: "logged out".to_owned(),
            ..Disconnect::default()
        };
        let end = |rights| async move { sessions::end(&rights, user, hash).await };
        self.change_rights(&[command], end).await?;
        Ok(())
    }

    /// Closes the sockets of a user, in one group or in all, on every node.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn disconnect_user(
        &self,
        id: &str,
        group: Option<&crate::wire::group::Group>,
        code: CloseCode,
        reason: &str,
    ) -> Result<(), LayerError> {
        self.disconnect(&Disconnect::of_user(id, group, code, reason)).await
    }

    /// Changes the connections of a user, on every node.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn instruct(&self, instruction: &Instruction) -> Result<(), LayerError> {
        self.layer().instruct(instruction).await
    }
}

#[cfg(test)]
mod tests {
    use crate::fuzzing::memory_node::request;

    #[test]
    fn only_an_authenticated_client_becomes_a_guest() {
        let (parts, ()) = hyper::Request::new(()).into_parts();
        let mut request = request(parts, "");
        assert!(request.guest_cookie().is_some());
        request.is_authenticated = false;
        assert_eq!(request.guest_cookie(), None, "the client may be a guest already");
    }
}
