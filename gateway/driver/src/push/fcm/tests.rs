use reveille_gateway_core::config::Secret;

use super::super::test_keys;
use super::*;

fn app(file: &str) -> Application {
    Application { credential: Some(Secret(file.to_owned())), ..Application::default() }
}

#[test]
fn a_service_account_is_read_whole_and_its_faults_show_no_key() {
    let sound = test_keys::service_account("https://oauth2.googleapis.com/token");
    assert_eq!(Account::of(&app(&sound)).map(|account| account.project), Ok("project-1".into()));
    let other = |from: &str, to: &str| sound.replacen(from, to, 1);
    for (text, wanted) in [
        (String::new(), "no service account (line 1"),
        (test_keys::RSA.to_owned(), "no service account (line 1"),
        (other("private_key_id", "x"), "no service account"),
        (other("client_email", "x"), "no service account"),
        (other("\"project-1\"", "\"a/b\""), "project_id is none"),
        (other("https://oauth2", "oauth2 "), "token_uri is no URL"),
        (other("BEGIN PRIVATE", "BEGIN"), "no private key"),
        (other("MIIE", "MIIF"), "cannot sign RS256"),
    ] {
        let fault = Account::of(&app(&text)).map(|_| ()).expect_err(&text);
        assert!(fault.contains(wanted), "{fault}");
        assert!(!fault.contains(&test_keys::RSA[60..80]), "{fault}");
    }
}

#[test]
fn back_off_doubles_from_ten_seconds_with_some_chance() {
    let fcm = Fcm {
        host: reveille_host::real::host(),
        limit: LEAST_WAIT,
        roster: Roster::new(&PushSettings::default(), "fcm", |_| Err(String::new())),
        own: template::own(OWN),
    };
    for (attempt, least) in [(1, 10_000), (2, 20_000), (3, 40_000), (u32::MAX, 640_000)] {
        let wait = fcm.back_off_ms(attempt);
        assert!((least..=least + least / 10).contains(&wait), "{attempt}: {wait}");
    }
    let draws: Vec<u64> = (0..8).map(|_| fcm.back_off_ms(4)).collect();
    assert!(draws.iter().any(|wait| *wait != draws[0]), "{draws:?}");
}
