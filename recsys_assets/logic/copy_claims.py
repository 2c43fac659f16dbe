"""Claims that no text may make, by kind and language.

Phrases are as `logic.copy_words` reads them. Every text is held against those of every language, as a German text may
well say "Best Price". Most of their words are in no lexicon (`logic.copy_vocabulary`); they are listed for the product
whose own data says them ("the best tea, only here"), which no text may repeat, and for the shop that allows them.

A claim is about health, say, where a shop answers for it before a court or a customer; of "light and floral" it does
not. Claims in `ATTESTED` are true of some products: they are fine where the catalogue says so of this one.
"""

from collections.abc import Mapping, Sequence

from recsys_assets.logic.copy_facts import Language
from recsys_assets.logic.copy_words import normal, phrase_words

Phrases = Mapping[Language, tuple[str, ...]]


def _phrases(listed: str) -> tuple[str, ...]:
    return tuple(" ".join(phrase.split()) for phrase in listed.split(","))


CLAIMS: Mapping[str, Phrases] = {
    "health": {
        "en": _phrases("""
            health, healthy, healthier, healthiest, healthful*, heal, heals, healing, cure, cures, cured, curing,
            curative, therap*, medicin*, medical*, clinical*, immun*, antioxidant*, detox*, anti inflammat*,
            inflammat*, antibacterial*, antiviral*, disinfect*, superfood*, slimming, sip and slim, weight loss, lose
            weight, burn* fat, fat burn*, burn* calories, blood pressure, cholesterol*, blood sugar, metabolism,
            digestion, good for your, boost* your, prevent*, protects against, relie* … pain, relie* … ache*, relie* …
            stress, pain relief, painless*, back pain, joint pain, headache*, migraine*, insomnia, anxiety, depress*,
            eczema, acne, psoriasis, arthrit*, asthma*, allerg*, disease*, illness*, sickness, cold and flu, flu,
            cancer*, diabet*, cavities, wrinkle*, anti ageing, anti aging, rejuvenat*, younger, wellness, wholesome,
            nutritious, remed*, symptom*, stress relie*, reduces stress, better sleep, sleep better, vitality,
            nourish* … body, regenerat*, low fat, joints, hair loss, hair growth, calms the mind, calm the mind, calms
            your, calms nerves, fall asleep, ease* tension, destress*, de stress, soothe*, body fat, good for you,
            energy boost, boosts energy, strengthens, flush*, cleanses your, purif*, germs, bacteria*, virus*,
            posture, circulation, recovery, aches, pain, pains, sore, protein*, rich in fibre, rich in fiber, rich in
            vitamin*, calorie*, nutrients, probiotic*, low calorie, eases tension, low in fat, low in sugar, high in
            fibre, high in fiber, high in vitamin*, better for you, keeps you fit, fit and well, slimmer, glowing
            skin, clear skin, stronger hair, bones, whitens, whitening, energis*, energiz*, revitalis*, revitaliz*
        """),
        "de": _phrases("""
            gesund, gesunde*, heilt, heilen, heilend*, heilung*, heilmittel, heilkraft*, heilsam*, kuriert, kurieren,
            therap*, medizin*, klinisch*, immun*, abwehr*, antioxidant*, entgift*, entschlack*, entzuendung*,
            antibakteriell*, keimtoetend*, desinfi*, superfood*, abnehm*, macht schlank, schlankheit*, fettverbrenn*,
            verbrennt … fett, kalorienarm*, fettarm*, blutdruck*, cholesterin*, blutzucker*, stoffwechsel*,
            verdauung*, beugt … vor, vorbeug*, lindert, lindern, linderung, hilft gegen, hilft bei, wirkt gegen,
            schuetzt vor, *schmerz, *schmerzen, schmerz*, migraene*, schlaflos*, depress*, angstzustaend*,
            neurodermitis, ekzem*, akne, arthr*, asthma*, allerg*, *allergiker, krankheit*, erkaelt*, grippe*,
            husten*, schnupfen, krebs, diabet*, karies, gegen falten, faltenfrei*, anti aging, verjuengt,
            verjuengend*, juenger, nahrhaft*, besser schlafen, regenerier*, staerkt … abwehr*, vitalisier*, wohltat
            fuer, gut fuer deinen koerper, gut fuer ihren koerper, gut fuer die haut, leber und, darm, haarausfall,
            wundermittel, beruhigt … nerven, beruhigend*, entspannt die, senkt … stress, gegen stress, stress ab,
            stressabbau*, einschlafen, schlaffoerdernd*, durchblutung*, keime, bakterien, viren, staerkt, kraeftigt,
            reinigt … koerper, reich an, proteinreich*, ballaststoff*, vitaminreich*, kalorien, probiotisch*,
            muskelkater, verspannung*, rueckenfreundlich*, gut fuer die figur, wohltuend*, wirkstoff*, schlank, haelt
            fit, macht fit, fit und, knochen, weissere zaehne, reine haut, vitalitaet, ernaehrungsberater*, haelt
            jung, kreislauf*
        """),
    },
    "scarcity": {
        "en": _phrases("""
            only … left, few left, almost gone, nearly gone, going fast, sell* out, selling fast, sold out, while
            stock*, while suppl*, while it lasts, while they last, last chance, last ones, last few, last one, last
            of, limited, hurry*, act now, act fast, be quick, quick before, before … gone, before … too late, before …
            run out, don't wait, do not wait, don't miss, do not miss, miss out, never miss, now or never, today only,
            only today, just today, this week only, this weekend only, ends soon, offer ends, ends today, ends
            tonight, ends tomorrow, ending soon, for … short time, for a limited, won't be around, won't last, won't
            be here, running out fast, in short supply, rare find, rarely in stock, in demand, last minute, final
            hours, countdown, deadline, low stock, in stock, out of stock, back in stock, exclusive*, once in a
            lifetime, one day only, soon be gone, soon gone, gone soon, secure yours, grab yours, flying off,
            everything must go, while you … can, all gone, last pieces, final pieces, final call, don't delay,
            expires, not for long, before it's gone, selling like, high demand, first come, snap* up, time is running,
            is ticking, be the first to, while you can, dwindling, stocks are, this evening, this
            morning, this afternoon, this weekend, this week, these days
        """),
        "de": _phrases("""
            nur noch, fast weg, bald weg, fast ausverkauft, ausverkauft, vergriffen, solange … vorrat, solange …
            reicht, letzte chance, letzten exemplar*, letzte exemplar*, letzten stueck*, letzte stueck*, begrenzt*,
            limitiert*, nur heute, heute nur, nur jetzt, nur kurze zeit, nur fuer kurze zeit, kurze zeit, nur dieses
            wochenende, nur diese woche, beeil*, schnell sein, schnell zugreifen, jetzt zugreifen, jetzt zuschlagen,
            greif zu, greifen sie zu, zugreifen, zuschlagen, bevor … weg, bevor … zu spaet, endet bald, endet heute,
            nicht verpassen, verpass nicht, verpass es nicht, verpassen sie, nicht mehr lange, nicht mehr viel, jetzt
            oder nie, sichern sie sich, sicher dir, sichere dir, jetzt sichern, auf lager, vorraetig, knapp*, rar,
            exklusiv*, einmalig*, letzter tag, endspurt, wenige stueck*, nur wenige, sofort verfuegbar, verfuegbar,
            restposten, bald nicht mehr, nicht mehr da, letzte stunden, noch wenige, laeuft ab, aktion endet, heiss
            begehrt, begehrt*, nachgefragt, hohe nachfrage, wer zuerst, jetzt schnell, schnell noch, zoegern, zoegere,
            zeit laeuft, uhr tickt, raeumungsverkauf*, solange es, solange sie noch, solange er noch, heute
            abend, heute morgen, diese woche, diesen abend, dieses wochenende, diesen monat
        """),
    },
    "guarantee": {
        "en": _phrases("""
            guarant*, warrant*, money back, refund*, risk-free, no risk, without risk, riskless, promise*, we promise,
            free returns, return it, return them, easy returns, returnable, unbreakable, indestructible, never break*,
            never tear*, never fail*, never wear*, never rust*, will never …, last* forever, lasts a lifetime, for
            life, lifetime, or your money, no questions, foolproof, always works, proven, scientifically, certified,
            never let you down, send it back, exchange it, try before you buy, worry-free, lasts for years, years to
            come, built for life, rust-free, decades, for generations, we swear, or we pay
        """),
        "de": _phrases("""
            garantie*, garantier*, *garantie, *garantiert, gewaehrleist*, geld zurueck, geld retour, rueckerstatt*,
            rueckgabe*, zurueckgeben, zuruecksenden, umtausch*, ohne risiko, risikofrei*, risikolos*, versprochen, wir
            versprechen, unzerbrechlich*, unverwuestlich*, unzerstoerbar*, unkaputtbar*, nie kaputt, geht nie, haelt
            ewig, ein leben lang, lebenslang*, bewaehrt*, zertifiziert*, nachweislich, erwiesen*, wissenschaftlich*,
            zufriedenheit*, immer perfekt, haelt jahrelang, fuer die ewigkeit, rostet nie, ohne wenn und aber,
            retoure*, zurueckschicken, rostfrei*, nie wieder … kaufen, jahrzehnt*, generationen
        """),
    },
    "superlative": {
        "en": _phrases("""
            best, number one, nothing else comes close, second to none, finest, greatest, world class, world leading,
            world renowned, leading brand, market leader, unrivalled, unrivaled, unmatched, unbeatable, unbeaten,
            unsurpassed, unequalled, unequaled, incomparable, matchless, peerless, perfection, ultimate, supreme,
            superior, flawless*, beyond compare, better than, top quality, highest quality, premium quality, top of
            the range, in the world, in the country, on the market, you will ever, you'll ever, you have ever, you've
            ever, softest, strongest, fastest, lightest, smoothest, tastiest, brightest, sharpest, warmest, most …
            ever, most advanced, most comfortable, most delicious, most beautiful, most popular, most loved, the most,
            the only, revolutionary, miracle*, magic formula, like no other, outperform*, nothing compares, nothing
            beats, no other, top notch, gold standard, king of, queen of, unlike any, champion*, first choice, beats
            all, beats any, beats every, than any other, than every other, all other*, every other brand, no better
        """),
        "de": _phrases("""
            beste, bester, bestes, besten, bestem, allerbest*, nummer eins, spitzenklasse, weltklasse, marktfuehr*,
            fuehrende*, unschlagbar*, unuebertroffen*, unerreicht*, konkurrenzlos*, unvergleich*, einzigartig*,
            ultimativ*, ueberlegen*, makellos*, besser als, hoechste qualitaet, hoechster qualitaet, spitzenqualitaet,
            beste qualitaet, der welt, weltweit, am markt, auf dem markt, weit und breit, aller zeiten, leckerste*,
            weichste*, staerkste*, schnellste*, schoenste*, koestlichste*, schaerfste*, leichteste*, hellste*,
            groesste*, feinste*, edelste*, beliebteste*, sucht seinesgleichen, ohnegleichen, revolutionaer*,
            wunderbarste*, einzige wahl, uebertrifft, schlaegt alle, kein anderer, keine andere, kein anderes, nichts
            geht ueber, goldstandard, koenig der, erste wahl, spitzenreiter, nonplusultra, alle anderen, top qualitaet
        """),
    },
    "bargain": {
        "en": _phrases("""
            best price*, lowest price*, low price*, great price*, unbeatable price*, price … match*, price … beat*,
            cheap, cheaper, cheapest, cheaply, bargain*, a steal, best value, great value, unbeatable value, value for
            money, affordabl*, inexpensive, budget friendly, good value, worth every penny, price promise, next to
            nothing, factory price*, wholesale, price drop*, rock bottom, knockdown, pay later, instalment*,
            installment*, monthly payment*, interest-free, pay less, costs less, worth the money
        """),
        "de": _phrases("""
            bestpreis*, tiefpreis*, tiefstpreis*, niedrigpreis*, *tiefpreis, hammerpreis*, knallerpreis*,
            dauertiefpreis*, spottbillig*, billig*, schnaeppchen*, preiswert*, preisguenstig*, guenstig*,
            preisknaller*, preis leistung*, unschlagbarer preis, kleiner preis, kleinen preis, kleines geld, fuer
            wenig geld, erschwinglich*, geschenkt fuer, bester preis, niedrigster preis, supergunst*, auf raten, in
            raten, ratenzahlung*, ratenkauf, finanzier*, spaeter zahlen, spaeter bezahlen, zinsfrei*, kostet weniger,
            geld wert
        """),
    },
    "free": {
        "en": _phrases("""
            free, gratis, complimentary, no charge, without charge, no cost, at no cost, on the house, on us, buy one,
            get one, bogo, freebie*, giveaway*, win a, bonus, extra gift, gift from us, costs nothing, for nothing,
            prize draw, voucher*, coupon*, cashback, surprise gift, gift inside, promo code*, code, loyalty points,
            earn points, reward*, extra charge
        """),
        "de": _phrases("""
            gratis*, kostenlos*, kostenfrei*, umsonst, geschenkt, *kostenfrei, versandkostenfrei*, portofrei*, ohne
            aufpreis, aufs haus, geht auf uns, geschenk von uns, geschenk fuer dich dazu, gewinnspiel*, verlos*,
            gutschein*, zugabe, bonus*, als dankeschoen, gibt es … dazu, obendrauf, kostet nichts, kostet dich nichts,
            erhalte eine, erhalten sie eine, code, rabattcode*, punkte sammeln, bonuspunkte, treuepunkte, praemie*
        """),
    },
    "discount": {  # refuses only where the catalogue has no list price above the price: see `refusals`
        "en": _phrases("""
            on sale, the sale, a sale, our sale, sale price*, clearance, discount*, reduced, reduction*, price cut*,
            marked down, special offer*, special price*, on offer, save big, save money, savings, save on, saving on,
            save today, save now, save up, deal of, great deal*, best deal*, hot deal*, for less, promo*, black
            friday, less than before, price has dropped, lower price*, slashed, dropped in price, price* … dropped,
            now less, todays offer, offer of the day, the offer
        """),
        "de": _phrases("""
            rabatt*, *rabatt, reduziert*, herabgesetzt*, ermaessig*, im angebot, sonderangebot*, *angebot,
            angebotspreis*, aktionspreis*, sonderpreis*, sparpreis*, sparen, spart, sparst, spare jetzt, spare geld,
            spare beim, ersparnis*, preisnachlass*, preissenk*, nachlass, ausverkauf, schlussverkauf, im sale, sale,
            rotstift*, black friday, weniger zahlen, guenstiger, preis gesenkt, preise gesenkt, gesenkt
        """),
    },
    "environment": {
        "en": _phrases("""
            eco, ecolog*, ecofriendl*, environment*, sustainab*, climate, carbon*, the planet, our planet, the earth,
            green choice, green conscience, green living, biodegrad*, compostab*, zero waste, plastic-free, emission*,
            renewable, earth friendly, guilt-free, clear conscience, clean conscience, responsibly, ethical*, nature
            friendly, kind to nature, rivers clean, ocean friendly, low impact, rainforest*, save* the forest*, save*
            the ocean*, trees planted, plant a tree, greener, footprint, less waste, less plastic, earth-friendly,
            better for the world, endangered, conservation
        """),
        "de": _phrases("""
            umwelt*, *umwelt, oeko*, oekologisch*, nachhaltig*, klima, klimaneutral*, klimafreundlich*, klimaschon*,
            klimapositiv*, fuers klima, abbaubar*, kompostierbar*, plastikfrei*, emission*, gruenes gewissen, gutem
            gewissen, gutes gewissen, reinem gewissen, ressourcen*, planeten, erneuerbar*, verantwortungsvoll*,
            ethisch*, naturfreundlich*, schont die natur, regenwald*, pflanzt … baum, baeume pflanzen, fussabdruck,
            plastik*, gruener leben, naturschonend*, weltmeere, der natur zuliebe, weniger abfall, weniger muell
        """),
    },
    "delivery": {
        "en": _phrases("""
            next day, same day, express, delivery, deliveries, delivered, shipping, ships, shipped, dispatch*,
            arrives, will arrive, arrive tomorrow, at your door*, to your door*, in no time, by tomorrow, by
            christmas, before christmas, on its way, courier, postage, with you by, worldwide, by monday, by friday,
            within days, within hours, click and collect, ready for collection, overnight delivery, arrives overnight
        """),
        "de": _phrases("""
            geliefert, liefern, liefert, lieferung*, lieferbar*, lieferzeit*, blitzlieferung, versand*, verschickt,
            expressversand, morgen schon, schon morgen, morgen da, heute bestellt, morgen bei dir, vor die haustuer,
            nach hause gebracht, bis weihnachten da, vor weihnachten, puenktlich, uebermorgen, abholbereit, per post,
            per express, frei haus, innerhalb von, bis freitag bei, bis montag bei, naechsten tag da, kommt ueber
            nacht
        """),
    },
    "endorsement": {
        "en": _phrases("""
            bestseller*, best seller*, best selling, top seller*, top rated, highly rated, rated, star review*, five
            star, reviews, award*, prize winning, test winner*, recommended by, doctor*, dentist*, physician*,
            expert*, scientist*, celebrit*, influencer*, seen on tv, as seen, everyone loves, everybody loves, loved
            by, thousands of, customers love, critics, acclaimed, used by professionals, trusted by, experts agree,
            approved, endorsed, famous, michelin*, chefs, professionals, swear* by, favourite of, favorite of, mums
            love, parents love, fans love, iconic, legendary, viral, trending, used by, worn by, top marks, voted,
            customers say, praised, renowned, celebrated, most wanted, million sold, britain's favourite, america's
            favorite, nation's favourite, country's favourite
        """),
        "de": _phrases("""
            bestseller*, *bestseller, verkaufsschlager*, topseller*, bestbewertet*, top bewertet, bewertung*, fuenf
            sterne, testsieger*, *testsieger, stiftung warentest, preisgekroent*, ausgezeichnet*, praemiert*,
            empfohlen, aerzte*, arzt, zahnaerzt*, experten*, wissenschaftler*, promis, influencer*, bekannt aus, alle
            lieben, jeder liebt, geliebt von, kritiker*, beruehmt*, kundenliebling*, geprueft*, von profis,
            sternekoch*, sternekoeche*, schwoeren auf, schwoert auf, kultobjekt*, legendaer*, viral, getragen von,
            genutzt von, von koechen, hebamme*, kunden sagen, gelobt, renommiert*, weltberuehmt*, lieben alle,
            deutschlands, oesterreichs, europas
        """),
    },
    "safety": {
        "en": _phrases("""
            safe, safely, safest, safety, non toxic, nontoxic, toxin*, harmless, hypoallergen*, chemical-free, no
            chemicals, child-safe, fireproof, shatterproof, bpa, no side effects, side effect*, gentle on sensitive,
            newborn*, food-safe, baby-safe, bite proof, free of chemicals, no harmful
        """),
        "de": _phrases("""
            unbedenklich*, ungefaehrlich*, ungiftig*, schadstofffrei*, schadstoff*, giftfrei*, hypoallergen*, ohne
            chemie, kindersicher*, feuerfest*, bpa, nebenwirkung*, hautvertraeglich*, sicherheit*,
            sicher fuer, babysicher*, lebensmittelecht*, ohne schadstoffe, stossfest*, bruchsicher*
        """),
    },
    "personal": {  # what a shop may know of a person, and a person does not want to read
        "en": _phrases("""
            we know, we saw, we noticed, we've noticed, we see that, we have been watching, your pregnancy, pregnan*,
            your condition, your weight, your age, your religion, your income, your diagnos*, your illness, your
            divorce, someone your age, people your age, last night, dear customer*, dear mr, dear ms, dear mrs, hello
            mr, hello ms, your purchase history, your browsing, your data, your salary, at your age, because
            you are, since you are, we remember, you are, you're, you look, you smell, you sound, you taste
        """),
        "de": _phrases("""
            wir wissen, wir haben gesehen, wir haben bemerkt, uns ist aufgefallen, schwanger*, dein gewicht, ihr
            gewicht, dein alter, ihr alter, in deinem alter, in ihrem alter, deine krankheit, deine religion, dein
            einkommen, deine diagnose, ihre diagnose, deine trennung, hallo herr, hallo frau, lieber herr, liebe frau,
            sehr geehrte*, dein verlauf, deine daten, dein gehalt, deine diaet, deine figur, wir erinnern uns
        """),
    },
}

# True of some products and no fact of others: fine where a phrase of the same line stands in the catalogue's words.
ATTESTED: Mapping[str, tuple[str, ...]] = {
    "organic": _phrases("organic, organically, bio, biologisch*, bioqualität, aus biologischem anbau"),
    "vegan": _phrases("vegan, vegans, vegane*, plant based, pflanzlich*, pflanzenbasiert*"),
    "vegetarian": _phrases("vegetarian*, vegetarisch*"),
    "gluten-free": _phrases("gluten-free, gluten free, glutenfrei*"),
    "lactose-free": _phrases("lactose-free, dairy-free, laktosefrei*, lactosefrei*"),
    "sugar-free": _phrases("""
        sugar-free, sugarless, no sugar, no added sugar, unsweetened, zuckerfrei*, ohne zucker, ohne zuckerzusatz,
        ungesüßt*
    """),
    "alcohol-free": _phrases("alcohol-free, alkoholfrei*"),
    "fragrance-free": _phrases("fragrance-free, perfume-free, unscented, parfümfrei*, ohne parfüm, ohne duftstoffe"),
    "additive-free": _phrases("""
        additive-free, preservative-free, no additives, no preservatives, ohne zusatzstoffe, ohne
        konservierungsstoffe, all natural, natural ingredients, natürliche zutaten
    """),
    "free-range": _phrases("free range, cage-free, freiland*, freilaufend*"),
    "fair-trade": _phrases("fair trade, fairtrade, fairly traded, fair gehandelt*"),
    "handmade": _phrases("""
        handmade, hand made, handcrafted, hand crafted, by hand made, handgemacht*, handgefertigt*, in handarbeit,
        handarbeit
    """),
    "origin": _phrases("""
        made in, locally grown, locally made, regional*, from local, hergestellt in, aus der region, aus deutschland
    """),
    "recycled": _phrases("recycled, recyclable, recycelt*, recycelbar*, recycling*"),
    "sensitive-skin": _phrases("sensitive skin, empfindliche haut, sensible haut"),
    "tested": _phrases("dermatologically tested, dermatologisch getestet*"),
    "waterproof": _phrases("waterproof*, wasserdicht*, watertight"),
}


def claim_phrases(more: Sequence[str], allowed: Sequence[str]) -> list[tuple[str, str]]:
    """(kind, phrase) of all that is refused in a shop, and of what it allows, whose kind is ``allowed``.

    Args:
        more: the shop's own phrases, whose kind is ``shop``; ``*`` and ``…`` mean the same in them.
        allowed: kinds ("scarcity", "organic", "attested" for all of those) or phrases, which excuse whatever claim they
            stand for or hold ("free delivery" allows that, and no other "free").
    """
    passed = {" ".join(phrase_words(one)).replace("-", " ") for one in allowed}
    kinds = {kind for kind in (*CLAIMS, *ATTESTED) if normal(kind).replace("-", " ") in passed}
    kinds |= set(ATTESTED) if "attested" in passed else set()
    listed = [
        *((kind, phrase) for kind, by_language in CLAIMS.items() for each in by_language.values() for phrase in each),
        *((kind, phrase) for kind, phrases in ATTESTED.items() for phrase in phrases),
    ]
    return [
        *(("allowed" if kind in kinds else kind, phrase) for kind, phrase in dict.fromkeys(listed)),
        *(("shop", phrase) for phrase in more),
        *(("allowed", phrase) for phrase in allowed),
    ]
