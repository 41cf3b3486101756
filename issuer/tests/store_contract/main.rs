//! What every store promises, asked of both: SQLite in a temporary folder, and the MongoDB that
//! `cargo xtask test` starts. Each test has a database of its own.

/// That there is always one administrator.
mod administrators;
/// Counters of attempts: as the rule says, and many at once.
mod attempts;
/// What administrators did.
mod audit;
/// Lists of users.
mod directory;
/// Both stores, fresh for each test.
mod fixture;
/// The flows on a real store with real cryptography.
mod flows;
/// Who guesses, through the flows: slowed down, locked, told of, and never told apart.
mod guessing;
/// The flows, wired together.
mod issuer;
/// Sealed keys, and replicas that agree about them.
mod keys;
/// The logins of users, and alerts.
mod logins;
/// Links that are mailed: for a new password, and to prove an address.
mod mailed;
/// What only MongoDB has to promise.
mod mongodb;
/// What waits to be told, on its way out.
mod outbox;
/// Changing a password.
mod passwords;
/// Exchanging refresh tokens: one after the other, and many at once.
mod refresh;
/// Roles.
mod roles;
/// Sessions.
mod sessions;
/// What only SQLite has to promise.
mod sqlite;
/// What is written together with a change of state: events and revocations.
mod told;
/// Users.
mod users;

/// Asks the same of both stores.
macro_rules! contract {
    ($($module:ident::$test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                crate::$module::$test::<crate::fixture::Sqlite>().await;
            })+
        }

        mod on_mongodb {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                crate::$module::$test::<crate::fixture::Mongo>().await;
            })+
        }
    };
}

contract! {
    users::what_was_inserted_is_found_by_every_name,
    users::an_email_address_belongs_to_one_user,
    users::a_user_name_belongs_to_one_user,
    users::many_users_have_no_name,
    users::of_many_at_once_one_gets_the_address,
    users::all_accounts_come_page_by_page,
    users::a_hash_is_replaced_only_if_it_has_not_changed,
    passwords::a_new_password_ends_all_sessions_of_its_user_in_one_write,
    passwords::a_change_of_an_older_epoch_is_superseded,
    passwords::a_login_that_races_with_a_change_does_not_survive_it,
    passwords::an_exchange_that_races_with_a_change_does_not_survive_it,
    passwords::a_repeat_that_races_with_a_change_is_refused,
    passwords::of_many_changes_at_once_one_happens,
    passwords::the_current_password_has_to_be_right,
    passwords::the_new_password_has_to_be_good,
    sessions::an_open_session_is_found_as_it_was,
    sessions::who_stands_behind_a_session_is_told_with_it,
    sessions::a_change_of_the_user_wins,
    sessions::one_user_can_log_in_many_times_at_once,
    sessions::an_exchange_moves_the_session_on_and_nothing_else,
    sessions::of_many_exchanges_one_happens,
    sessions::a_session_that_has_ended_stays_so,
    sessions::a_page_has_the_latest_logins_of_one_user,
    told::a_change_and_what_it_tells_are_one_write,
    told::what_did_not_happen_is_not_told,
    told::every_act_that_ends_sessions_revokes,
    told::events_of_one_user_are_numbered_without_gaps,
    told::no_reader_passes_a_revocation_by,
    told::what_is_deleted_has_an_end,
    told::many_log_out_at_once,
    mailed::a_link_sets_a_new_password_once,
    mailed::a_link_opens_an_account_that_others_have_locked,
    mailed::what_is_no_good_token_changes_nothing,
    mailed::a_token_serves_its_own_purpose,
    mailed::a_token_dies_with_its_time_and_with_its_owners_epoch,
    mailed::a_refused_password_leaves_the_token_good,
    mailed::of_many_uses_of_one_token_one_happens,
    mailed::a_use_that_races_with_a_change_does_not_survive_it,
    mailed::an_address_is_proven_once_and_sessions_go_on,
    mailed::who_has_no_link_coming_gets_the_same_answer_and_no_mail,
    mailed::a_link_to_somebody_who_has_changed_is_not_posted,
    mailed::a_taken_address_is_told_to_its_owner_alone,
    mailed::an_unproven_address_does_not_log_in_where_it_must_be_proven,
    outbox::a_claim_is_one_users_line_from_its_front,
    outbox::many_relays_send_everything_once_and_in_order,
    outbox::what_is_not_settled_comes_back,
    outbox::a_parked_event_holds_up_its_user_alone_until_it_is_replayed,
    outbox::what_has_left_is_kept_for_a_while,
    outbox::a_mail_goes_its_own_way_and_leaves_nothing,
    attempts::what_the_store_admits_is_what_the_rule_says,
    attempts::of_many_at_once_no_more_pass_than_allowed,
    attempts::of_many_given_back_at_once_none_is_lost,
    attempts::an_administrator_opens_one_account_and_says_so_once,
    logins::logins_of_one_user_are_listed_latest_first,
    logins::a_failure_is_told_of_a_user_who_is_there,
    logins::a_device_is_new_to_somebody_who_had_another_one,
    logins::alerts_are_kept_and_listed_latest_first,
    guessing::five_are_free_and_then_it_is_slow,
    guessing::many_at_once_get_no_more_than_their_share,
    guessing::a_locked_account_stays_open_for_its_owner,
    guessing::an_address_has_its_share,
    guessing::known_and_unknown_accounts_are_told_apart_by_nothing,
    guessing::guessing_at_an_open_session_is_guessing,
    guessing::what_is_odd_about_a_login_is_an_alert,
    guessing::an_administrator_unlocks_every_name_of_an_account,
    guessing::mails_have_their_share,
    guessing::who_is_turned_away_for_lack_of_room_is_not_counted,
    roles::a_role_that_exists_stays_as_it_is,
    roles::only_existing_roles_are_found,
    roles::a_role_changes_only_as_it_was_seen,
    roles::a_role_that_somebody_has_is_not_removed,
    roles::owners_of_a_role_that_loses_a_permission_are_cut_off,
    roles::owners_of_a_role_that_gains_a_permission_are_not,
    roles::too_many_owners_keep_their_tokens,
    directory::a_list_has_the_newest_users_page_by_page,
    directory::a_list_is_of_those_who_were_asked_for,
    directory::a_search_text_has_no_meaning_for_the_database,
    audit::a_deed_and_its_record_are_one_write,
    audit::the_record_has_the_newest_deeds_page_by_page,
    administrators::the_last_one_stays,
    administrators::several_roles_together_make_one,
    administrators::where_there_is_none_there_is_nobody_to_keep,
    administrators::those_who_remove_each_other_leave_one,
    administrators::a_role_and_its_owner_do_not_go_together,
    keys::a_ring_is_changed_as_a_whole,
    keys::of_many_changes_of_one_ring_one_happens,
    keys::replicas_that_start_together_agree,
    keys::another_master_key_is_refused,
    keys::a_rotation_is_not_noticed,
    keys::keys_follow_each_other_under_load,
    keys::a_revoked_key_is_worth_nothing_at_once,
    keys::another_master_key_opens_what_the_first_one_sealed,
    flows::a_registered_user_logs_in_and_is_recognised,
    flows::mistakes_are_told_apart_when_registering,
    flows::an_operator_names_roles_that_exist,
    flows::wrong_credentials_are_all_alike,
    flows::a_closed_account_is_out_at_once,
    flows::a_login_renews_a_hash_of_yesterday,
    flows::a_healthy_store_answers,
    refresh::a_token_is_exchanged_for_its_one_child,
    refresh::the_next_token_says_who_the_user_is_now,
    refresh::a_parent_gets_the_same_child_for_a_while,
    refresh::a_second_use_ends_the_family,
    refresh::a_parent_whose_child_was_used_ends_the_family,
    refresh::a_session_runs_out,
    refresh::a_closed_account_gets_nothing,
    refresh::a_forgery_does_not_touch_the_family,
    refresh::a_restart_in_between_changes_nothing,
    refresh::every_generation_of_a_token_logs_out,
    refresh::many_at_once_get_one_child,
    refresh::two_issuers_give_one_child,
}
