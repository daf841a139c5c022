use super::*;
use crate::cast::registrar::tests::registrar;
use crate::cast::scan::scan;
use crate::cast::sip::request;

const FROM: &str = "192.0.2.9:5060";

fn asked(method: &str, target: &str, branch: &str, more: &[(&str, String)]) -> Scanned {
    let mut headers = vec![
        ("Via", format!("SIP/2.0/UDP gateway:5060;branch={branch};rport")),
        ("Max-Forwards", "70".to_owned()),
        ("From", "<sip:bob@example.com>;tag=1".to_owned()),
        ("To", "<sip:alice@example.com>".to_owned()),
        ("Call-ID", "c1".to_owned()),
        ("CSeq", format!("1 {method}")),
    ];
    headers.extend_from_slice(more);
    scan(&request(method, target, &headers, b"v=0")).unwrap()
}

async fn proxy() -> Registrar {
    let mut proxy = registrar().await;
    let (user, to) = ("alice".to_owned(), "alice:5062".to_owned());
    proxy.settings.routes = vec![Route { user, to, transport: Transport::Udp }];
    proxy
}

fn play<F: Future<Output = ()>>(test: F) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn passed(proxy: &Registrar, message: &Scanned) -> Scanned {
    let hop = proxy.next(message).unwrap();
    scan(&proxy.forwarded(message, &hop, 69, Path::Udp(FROM.parse().unwrap()))).unwrap()
}

#[test]
fn a_request_goes_to_the_user_it_names_or_along_its_route() {
    play(async {
        let mut proxy = proxy().await;
        let host = |proxy: &Registrar, target: &str, more: &[(&str, String)]| {
            proxy.next(&asked("INVITE", target, "z9hG4bK1", more)).unwrap().host
        };
        assert_eq!(host(&proxy, "sip:alice@example.com", &[]), "alice:5062");
        assert_eq!(host(&proxy, "sip:nobody@example.com", &[]), "");
        assert_eq!(host(&proxy, "sip:tok@gateway:5061;transport=udp", &[]), "gateway:5061");
        proxy.settings.record_routes = true;
        let port = proxy.sockets.port;
        let own = ("Route", format!("<sip:registrar:{port};lr>"));
        let other = ("Route", "<sip:further:5070;lr>".to_owned());
        let target = "sip:alice@alice:5062";
        assert_eq!(host(&proxy, target, std::slice::from_ref(&own)), "alice:5062");
        assert_eq!(host(&proxy, target, &[own.clone(), other.clone()]), "further:5070");
        let on = passed(&proxy, &asked("INVITE", target, "z9hG4bK1", &[own, other]));
        assert_eq!(on.all("route").collect::<Vec<_>>(), ["<sip:further:5070;lr>"]);
        assert_eq!(on.header("record-route"), Some(&*format!("<sip:registrar:{port};lr>")));
        let options = asked("OPTIONS", "sip:example.com", "z9hG4bK1", &[]);
        assert!(!proxy.is_for_others(&options), "the domain itself is asked");
    });
}

#[test]
fn what_belongs_together_has_one_branch_and_responses_find_back() {
    play(async {
        let proxy = proxy().await;
        let target = "sip:alice@example.com";
        let invite = passed(&proxy, &asked("INVITE", target, "z9hG4bK1", &[]));
        let cancel = passed(&proxy, &asked("CANCEL", target, "z9hG4bK1", &[]));
        let other = passed(&proxy, &asked("INVITE", target, "z9hG4bK2", &[]));
        assert_eq!(invite.branch(), cancel.branch());
        assert_ne!(invite.branch(), other.branch());
        assert_eq!(invite.header("max-forwards"), Some("69"));
        assert_eq!(invite.body, b"v=0");
        let below = invite.all("via").nth(1).unwrap();
        assert_eq!(param(below, "received").as_deref(), Some("192.0.2.9"));
        assert_eq!(param(below, "rport").as_deref(), Some("5060"));
    });
}
